import type { BrokerError } from "../core/errors.js";
import { invalidField } from "../core/names.js";

/** Entries on a page when the caller names no size. */
export const PAGE_SIZE_DEFAULT = 100;

/** Larger pages are cut to this; the token says that there is more. */
export const PAGE_SIZE_MAX = 1_000;

/** Which entries a list call asks for. */
export interface PageQuery {
  readonly size: number;
  /** The key of the last entry before this page; `undefined` on the first. */
  readonly after: string | undefined;
}

/** One page, and what leads to the next; "" when there is none. */
export interface Page<T> {
  readonly entries: readonly T[];
  readonly nextPageToken: string;
}

/**
 * Reads page_size and page_token.
 * @param scope what is listed, with its filters: a token leads on only in the list that it came from
 */
export function pageQuery(scope: string, pageSize: number, token: string): PageQuery {
  const size = pageSize === 0 ? PAGE_SIZE_DEFAULT : Math.min(pageSize, PAGE_SIZE_MAX);
  if (token === "") return { size, after: undefined };
  const text = Buffer.from(token, "base64url").toString();
  if (!text.startsWith(`${scope}\n`)) throw foreignToken(token);
  return { size, after: text.slice(scope.length + 1) };
}

/** Makes a page of up to `size + 1` entries: the one too many says that there is more. */
export function page<T>(scope: string, query: PageQuery, found: readonly T[], keyOf: (entry: T) => string): Page<T> {
  if (found.length <= query.size) return { entries: found, nextPageToken: "" };
  const entries = found.slice(0, query.size);
  const last = entries[entries.length - 1];
  return { entries, nextPageToken: last === undefined ? "" : pageToken(scope, keyOf(last)) };
}

/** What leads to the entries behind the one with this key. */
export function pageToken(scope: string, key: string): string {
  return Buffer.from(`${scope}\n${key}`).toString("base64url");
}

/** The error of a token that was not given for this list. */
export function foreignToken(token: string): BrokerError {
  return invalidField("page_token", token, "a next_page_token of the same list with the same filters, or nothing");
}
