import { expect } from "chai";
import { fairShares } from "../../../src/engines/fair-share.js";
import type { Sharing } from "../../../src/engines/fair-share.js";

const MAX = 1_000;

interface Named extends Sharing {
  readonly name: string;
}

function work(name: string, bytes?: number, line?: object): Named {
  return { name, ...(bytes === undefined ? {} : { bytes }), ...(line === undefined ? {} : { line }) };
}

function names(works: readonly Named[]): string {
  return works.map(({ name }) => name).join(" ");
}

function shared(works: readonly Named[]): [string, string] {
  const { now, later } = fairShares(works, MAX);
  return [names(now), names(later)];
}

describe("fairShares", () => {
  it("lets everything go along that fits, in its order", () => {
    expect(shared([work("a", 400), work("b", 600), work("c")])).to.deep.equal(["a b c", ""]);
  });

  it("lets the first of the large ones go, however large it is, and all small ones beside it", () => {
    expect(shared([work("a", 5_000), work("b", 5_000), work("c", 10), work("unknown")])).to.deep.equal(["a c unknown", "b"]);
  });

  it("lets as many of the large ones go as fit beside the small ones, those that came first", () => {
    expect(shared([work("small", 100), work("a", 500), work("b", 500), work("c", 350)])).to.deep.equal(["small a c", "b"]);
  });

  it("takes no more than the bound and one work", () => {
    const works = Array.from({ length: 100 }, (_, i) => work(String(i), 1 + ((i * 37) % 300)));
    const { now } = fairShares(works, MAX);
    expect(now.reduce((sum, { bytes = 0 }) => sum + bytes, 0)).to.be.at.most(MAX + 300);
  });

  it("lets nothing overtake what came before it in its line", () => {
    const line = {};
    expect(shared([work("a", 900), work("b", 900, line), work("c", 10, line), work("d", 10, {})])).to.deep.equal(["a d", "b c"]);
  });

  it("gives every one of many that always want more its turn, however many small ones come meanwhile", () => {
    const greedy = ["a", "b", "c"];
    const gone: string[] = [];
    let waiting: readonly Named[] = greedy.map((name) => work(name, MAX));
    for (let i = 0; i < 9; i++) {
      const { now, later } = fairShares([...waiting, work("small", 10)], MAX);
      expect(names(now)).to.match(/small$/);
      const large = now.filter(({ name }) => name !== "small");
      gone.push(names(large));
      waiting = [...later, ...large];
    }
    expect(gone.join("")).to.equal("abcabcabc");
  });
});
