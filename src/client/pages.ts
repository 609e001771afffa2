/** One page of a list. */
interface Page<T> {
  readonly entries: readonly T[];
  /** Empty: it was the last one. */
  readonly nextPageToken: string;
}

/** The entries of a list that comes in pages; the next page is asked for when it is needed. */
export async function* pages<T>(fetch: (pageToken: string) => Promise<Page<T>>): AsyncGenerator<T, void, undefined> {
  let pageToken = "";
  do {
    const page = await fetch(pageToken);
    yield* page.entries;
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
}
