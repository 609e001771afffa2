import { BrokerError } from "./errors.js";
import { LIMITS } from "./limits.js";

const TOKEN = /^[A-Za-z0-9_-]+$/;
const CACHED_EVENTS_MAX = 1_024;

/**
 * Which events a subscriber takes: any of its patterns, or every event when it has none. A pattern is dotted tokens; `*`
 * stands for exactly one token, `**` at the end for one or more.
 */
export class EventFilter {
  /** The patterns as a set: sorted, each once. Empty: everything. */
  readonly patterns: readonly string[];
  private readonly split: readonly (readonly string[])[];
  /** Answers are remembered, since a queue has few event names and many messages. Bounded by starting over when full. */
  private readonly answers = new Map<string, boolean>();

  private constructor(patterns: readonly string[]) {
    this.patterns = [...new Set(patterns)].sort();
    this.split = this.patterns.map((pattern) => pattern.split("."));
  }

  /** Parses patterns; BrokerError INVALID_FIELD names the one that is none. */
  static parse(patterns: readonly string[], field = "events"): EventFilter {
    if (patterns.length > LIMITS.filtersMax) {
      throw new BrokerError("INVALID_FIELD", `${field} has ${patterns.length} patterns; at most ${LIMITS.filtersMax} are allowed`, {
        field,
        value: String(patterns.length),
        limit: String(LIMITS.filtersMax),
      });
    }
    patterns.forEach((pattern, i) => {
      const problem = patternProblem(pattern);
      if (problem !== undefined) {
        throw new BrokerError("INVALID_FIELD", `${field}[${i}] ${JSON.stringify(pattern)} is no event filter: ${problem}`, {
          field: `${field}[${i}]`,
          value: pattern,
          limit: problem,
        });
      }
    });
    return new EventFilter(patterns);
  }

  get takesEverything(): boolean {
    return this.patterns.length === 0 || this.patterns.includes("**");
  }

  matches(event: string): boolean {
    if (this.takesEverything) return true;
    const known = this.answers.get(event);
    if (known !== undefined) return known;
    const answer = this.matchesOnce(event);
    if (this.answers.size >= CACHED_EVENTS_MAX) this.answers.clear();
    this.answers.set(event, answer);
    return answer;
  }

  /** As `matches`, but remembers nothing: for whoever asks about every event that there is. */
  matchesOnce(event: string): boolean {
    if (this.takesEverything) return true;
    const tokens = event.split(".");
    return this.split.some((pattern) => patternMatches(pattern, tokens));
  }

  /** The same patterns, as a set. Every way to say "everything" is the same. */
  equals(other: EventFilter): boolean {
    if (this.takesEverything || other.takesEverything) return this.takesEverything && other.takesEverything;
    return this.patterns.length === other.patterns.length && this.patterns.every((pattern, i) => pattern === other.patterns[i]);
  }
}

/** What keeps a text from being an event name, in words; undefined when it is one. */
export function eventProblem(event: string): string | undefined {
  if (event === "") return "it is empty; an event is 1 to 16 dotted tokens such as order.created";
  if (Buffer.byteLength(event) > LIMITS.eventBytesMax) return `it is longer than ${LIMITS.eventBytesMax} bytes`;
  const tokens = event.split(".");
  if (tokens.length > LIMITS.eventTokensMax) return `it has ${tokens.length} tokens; at most ${LIMITS.eventTokensMax} are allowed`;
  if (!tokens.every((token) => TOKEN.test(token))) return "tokens are made of A-Z a-z 0-9 _ - and stand between single dots";
  return undefined;
}

function patternProblem(pattern: string): string | undefined {
  const tokens = pattern.split(".");
  const deep = tokens.indexOf("**");
  if (deep !== -1 && deep !== tokens.length - 1) return "** stands only at the end";
  return eventProblem(tokens.map((token) => (token === "*" || token === "**" ? "x" : token)).join("."));
}

function patternMatches(pattern: readonly string[], tokens: readonly string[]): boolean {
  const deep = pattern[pattern.length - 1] === "**";
  if (deep ? tokens.length < pattern.length : tokens.length !== pattern.length) return false;
  const fixed = deep ? pattern.length - 1 : pattern.length;
  for (let i = 0; i < fixed; i++) {
    if (pattern[i] !== "*" && pattern[i] !== tokens[i]) return false;
  }
  return true;
}
