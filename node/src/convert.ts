/**
 * Checks of arguments that the core can't make, for it never sees them: their JavaScript types.
 *
 * Values (zero, negative, not a number, too large, too long) are the core's to refuse, alike in every
 * language. A string with a lone surrogate is no Unicode text: it has no UTF-8, so the core could
 * neither take nor name it.
 */

import { invalid, shown } from "./errors.js";
import { type Duration, Owner } from "./plain.js";

const SECONDS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400 };

/** `value` in seconds, as the core counts. */
export function seconds(what: string, value: Duration): number {
  if (typeof value === "number") {
    // The core would name a wrong number in its own unit.
    if (!(value >= 0 && value < Infinity)) {
      throw invalid(`${what} is ${value}: a number of milliseconds, zero or more, is needed`);
    }
    return value / 1000;
  }
  if (typeof value !== "string") {
    throw new TypeError(
      `${what} is ${shown(value)}: milliseconds or a string such as "30s" are needed`,
    );
  }
  const found = /^(\d+(?:\.\d+)?) ?(ms|s|m|h|d)$/.exec(value);
  const unit = SECONDS[found?.[2] ?? ""];
  if (unit === undefined) {
    throw invalid(
      `${what} is ${shown(value)}: a number and ms, s, m, h or d are needed, such as "30s"`,
    );
  }
  return Number(found?.[1]) * unit;
}

/** `value` in seconds, if there is one. */
export function maybeSeconds(what: string, value: Duration | undefined): number | undefined {
  return value === undefined ? undefined : seconds(what, value);
}

/** `value`, which must be a string that has a UTF-8 form. */
export function text(what: string, value: string): string {
  if (typeof value !== "string") {
    throw new TypeError(`${what} is ${shown(value)}: a string is needed`);
  }
  if (!value.isWellFormed()) {
    const at = value.search(/\p{Surrogate}/u);
    throw invalid(
      `${what} ${JSON.stringify(value.slice(0, 80))} has a lone surrogate at index ${at}: ` +
        "it is no Unicode text",
    );
  }
  return value;
}

/** The bytes of `value`, which must be bytes or text that has a UTF-8 form. */
export function bytes(what: string, value: string | Uint8Array): Uint8Array {
  if (value instanceof Uint8Array) {
    return value;
  }
  if (typeof value !== "string") {
    throw new TypeError(`${what} is ${shown(value)}: a string or bytes are needed`);
  }
  return Buffer.from(text(what, value));
}

/** `value`, which must be a whole number from `low` to `high`. */
export function whole(what: string, value: number, low: number, high: number): number {
  if (typeof value !== "number") {
    throw new TypeError(`${what} is ${shown(value)}: a whole number is needed`);
  }
  if (!Number.isInteger(value) || value < low || value > high) {
    throw invalid(`${what} is ${value}: whole numbers from ${low} to ${high} are allowed`);
  }
  return value;
}

/** `value`, which must be a boolean: `renew: 0` would else read as a number of seconds. */
export function flag(what: string, value: boolean): boolean {
  if (typeof value !== "boolean") {
    throw new TypeError(`${what} is ${shown(value)}: true or false is needed`);
  }
  return value;
}

/** The number of an owner, if there is one. */
export function ownerNumber(value: Owner | undefined): bigint | undefined {
  if (value === undefined) {
    return undefined;
  }
  if (!(value instanceof Owner)) {
    throw new TypeError(`owner is ${shown(value)}: take one from client.owner()`);
  }
  return value.number;
}

/** `value`, which must be an AbortSignal, of whatever realm or library. */
export function signalOf(value: AbortSignal | undefined): AbortSignal | undefined {
  if (value !== undefined && typeof value?.addEventListener !== "function") {
    throw new TypeError(`signal is ${shown(value)}: an AbortSignal is needed`);
  }
  return value;
}

/** `value`, whose properties must be among `known`: a misspelt ttl would else be the default. */
export function options<T extends object>(value: T | undefined, known: ReadonlySet<string>): T {
  if (value === undefined) {
    return {} as T;
  }
  if (typeof value !== "object" || value === null) {
    throw new TypeError(`options are ${shown(value)}: an object is needed`);
  }
  for (const key of Object.keys(value)) {
    if (!known.has(key)) {
      throw invalid(`option ${shown(key)} is unknown: there are ${[...known].join(", ")}`);
    }
  }
  return value;
}
