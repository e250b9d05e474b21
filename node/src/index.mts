/**
 * The same module for `import`. It is a window to the CommonJS one, not a second copy: with two, an
 * error of the one would be no instance of the other's class.
 */

export * from "./index.js";
