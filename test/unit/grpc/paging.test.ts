import { expect } from "chai";
import { BrokerError } from "../../../src/core/errors.js";
import { page, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, pageQuery } from "../../../src/grpc/paging.js";

const NAMES = Array.from({ length: 25 }, (_, i) => `q${String(i).padStart(2, "0")}`);

/** Reads a whole list, as a client does. */
function readAll(pageSize: number): string[][] {
  const pages: string[][] = [];
  for (let token = ""; ; ) {
    const query = pageQuery("queues", pageSize, token);
    const found = NAMES.filter((name) => query.after === undefined || name > query.after).slice(0, query.size + 1);
    const { entries, nextPageToken } = page("queues", query, found, (name) => name);
    pages.push([...entries]);
    if (nextPageToken === "") return pages;
    token = nextPageToken;
  }
}

describe("pages of a list", () => {
  for (const [size, lengths] of [[10, [10, 10, 5]], [25, [25]], [24, [24, 1]], [1_000, [25]]] as const) {
    it(`of ${size} entries bring each entry once, in order, and end without an empty page`, () => {
      const pages = readAll(size);
      expect(pages.map(({ length }) => length)).to.deep.equal(lengths);
      expect(pages.flat()).to.deep.equal(NAMES);
    });
  }

  it("have a default size and a largest one", () => {
    expect(pageQuery("queues", 0, "").size).to.equal(PAGE_SIZE_DEFAULT);
    expect(pageQuery("queues", 1_000_000, "").size).to.equal(PAGE_SIZE_MAX);
  });

  it("of an empty list are one empty page", () => {
    expect(page("queues", pageQuery("queues", 0, ""), [], String)).to.deep.equal({ entries: [], nextPageToken: "" });
  });

  it("do not lead on in another list, nor from a token that nobody gave", () => {
    const { nextPageToken } = page("subscribers a", pageQuery("subscribers a", 1, ""), ["x", "y"], (name) => name);
    expect(pageQuery("subscribers a", 1, nextPageToken).after).to.equal("x");
    for (const token of [nextPageToken, "abc", "%%%", "=".repeat(500)]) {
      expect(() => pageQuery("subscribers b", 1, token)).to.throw(BrokerError, "page_token");
    }
  });
});
