/**
 * Puts the native half that cargo built where the package looks for it: `place.mjs FOLDER`.
 *
 * Under another name first, then renamed: a process that runs the old one must keep it whole.
 */

import { copyFileSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";

const { platform, arch, pid } = process;
const folder = process.argv[2];
if (folder === undefined) {
  console.error("usage: place.mjs FOLDER");
  process.exit(64);
}
process.report.excludeNetwork = true;
const libc = process.report.getReport().header.glibcVersionRuntime === undefined ? "musl" : "gnu";
const suffix = platform === "linux" ? `-${libc}` : "";
const built = platform === "darwin" ? "libleasehold_node.dylib" : "libleasehold_node.so";

const binaries = join(import.meta.dirname, "..", "binaries");
const target = join(binaries, `leasehold-${platform}-${arch}${suffix}.node`);
mkdirSync(binaries, { recursive: true });
copyFileSync(join(folder, built), `${target}.${pid}`);
renameSync(`${target}.${pid}`, target);
console.log(target);
