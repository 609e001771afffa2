import { BrokerError } from "./errors.js";
import { eventProblem } from "./event-filter.js";
import { LIMITS } from "./limits.js";

const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/;
const EVENT = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/;
const CLIENT_ID = /^[A-Za-z0-9._-]+$/;
const RESERVED_HEADER_PREFIX = "tidemark-";

/** A value is shown to people and travels in HTTP/2 trailers, which some clients cap at 8 KiB: this many characters of it. */
const SHOWN_CHARACTERS_MAX = 100;

/**
 * The error for one bad field.
 * @param field path of the field in the request, as the `.proto` spells it: `message.event`, `acks[3].first`
 * @param value what was sent; shortened when it is long
 * @param limit what is allowed, in words or numbers
 */
export function invalidField(field: string, value: string, limit: string): BrokerError {
  const short = shown(value);
  return new BrokerError("INVALID_FIELD", `${field} is ${JSON.stringify(short)}; allowed: ${limit}`, { field, value: short, limit });
}

/** Checks the name of a queue or a subscriber; INVALID_FIELD otherwise. */
export function checkName(field: string, value: string): string {
  if (value.length > LIMITS.nameLengthMax || !NAME.test(value)) {
    throw invalidField(field, value, `1 to ${LIMITS.nameLengthMax} of A-Z a-z 0-9 . _ - and not starting with . or -`);
  }
  return value;
}

/** Checks a client's label for people; empty means that it gave none. */
export function checkClientId(field: string, value: string): string {
  if (value.length > LIMITS.nameLengthMax || (value !== "" && !CLIENT_ID.test(value))) {
    throw invalidField(field, value, `up to ${LIMITS.nameLengthMax} of A-Z a-z 0-9 . _ -`);
  }
  return value;
}

/** Whether a text is a valid event, for whoever does not ask why not. */
export function isEvent(value: string): boolean {
  return isShortEvent(value) || eventProblem(value) === undefined;
}

/** Checks a published message's event, which unlike a filter has no wildcards. */
export function checkEvent(field: string, value: string): string {
  const problem = isShortEvent(value) ? undefined : eventProblem(value);
  if (problem !== undefined) throw invalidField(field, value, `1 to ${LIMITS.eventTokensMax} dotted tokens, ${LIMITS.eventBytesMax} bytes; ${problem}`);
  return value;
}

/** Checks a text that is free in its characters but not in its length, which counts UTF-8 bytes. */
export function checkText(field: string, value: string, bytesMax: number): string {
  // A UTF-16 unit is at most three bytes of UTF-8: short texts need no counting.
  if (value.length * 3 > bytesMax && Buffer.byteLength(value) > bytesMax) {
    throw invalidField(field, value, `up to ${bytesMax} bytes of UTF-8; this has ${Buffer.byteLength(value)}`);
  }
  return value;
}

/** Checks a message's headers: how many, how large together, and that no name is empty or the broker's own. */
export function checkHeaders(field: string, entries: readonly (readonly [string, string])[]): ReadonlyMap<string, string> {
  const headers = checkEntries(field, entries, LIMITS.headersMax, LIMITS.headerBytesMax);
  for (const name of headers.keys()) {
    if (isReservedHeader(name)) {
      throw invalidField(field, name, `names that do not start with ${RESERVED_HEADER_PREFIX}, which are the broker's own`);
    }
  }
  return headers;
}

/** Whether a header's name is one of the broker's own, which no publisher may use. */
export function isReservedHeader(name: string): boolean {
  return name.toLowerCase().startsWith(RESERVED_HEADER_PREFIX);
}

/** Checks a session's labels. */
export function checkLabels(field: string, entries: readonly (readonly [string, string])[]): ReadonlyMap<string, string> {
  return checkEntries(field, entries, LIMITS.labelsMax, LIMITS.labelBytesMax);
}

/** Most events are short and valid: one match instead of a split. */
function isShortEvent(value: string): boolean {
  // Sixteen tokens cannot be exceeded in fewer characters.
  return value.length < 2 * LIMITS.eventTokensMax && EVENT.test(value);
}

function checkEntries(
  field: string,
  entries: readonly (readonly [string, string])[],
  countMax: number,
  bytesMax: number,
): ReadonlyMap<string, string> {
  if (entries.length === 0) return NO_ENTRIES;
  if (entries.length > countMax) throw invalidField(field, `${entries.length} entries`, `up to ${countMax} entries`);
  let bytes = 0;
  for (const [name, value] of entries) {
    if (name === "") throw invalidField(field, name, "entries with a name");
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value);
  }
  if (bytes > bytesMax) throw invalidField(field, `${bytes} bytes`, `up to ${bytesMax} bytes, names and values together`);
  return new Map(entries);
}

const NO_ENTRIES: ReadonlyMap<string, string> = new Map<string, string>();

/** The first characters of a value, cut between whole ones, so that the text stays valid UTF-8. */
function shown(value: string): string {
  if (value.length <= SHOWN_CHARACTERS_MAX) return value;
  return `${Array.from(value.slice(0, 2 * SHOWN_CHARACTERS_MAX)).slice(0, SHOWN_CHARACTERS_MAX - 1).join("")}…`;
}
