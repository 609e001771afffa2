import { expect } from "chai";
import type { Engine } from "../../src/ports/engine.js";
import { StateConflict } from "../../src/ports/state.js";
import type { Token } from "../../src/ports/state.js";
import { failure, put } from "./engine-bench.js";

/** What every state does. */
export function describeState(engine: () => Engine, restart: () => Promise<Engine>): void {
  const keys = async (prefix: string, after: string | undefined, limit: number): Promise<string> =>
    (await engine().state("q").list(prefix, after, limit)).map(({ key }) => key).join(" ");

  it("has no entry that nobody wrote", async () => {
    expect(await engine().state("q").get("k")).to.equal(undefined);
    expect(await engine().state("q").list("", undefined, 10)).to.deep.equal([]);
  });

  it("gives back what was committed, with the token that the commit answered, also after a restart", async () => {
    const [token] = await engine().state("q").commit([put("k", "v")]);
    const entry = await engine().state("q").get("k");
    expect(entry?.value.toString()).to.equal("v");
    expect(entry?.token).to.equal(token);
    const again = await (await restart()).state("q").get("k");
    expect(again?.value.toString()).to.equal("v");
  });

  it("shows nothing before it is durable", async () => {
    const committed = engine().state("q").commit([put("k", "v")]);
    expect(await engine().state("q").get("k")).to.equal(undefined);
    await committed;
    expect(await engine().state("q").get("k")).not.to.equal(undefined);
  });

  it("writes all of a commit or nothing", async () => {
    const state = engine().state("q");
    await state.commit([put("taken", "1")]);
    const conflict = await failure(state.commit([put("a", "2"), put("taken", "2", "absent"), put("b", null)]), StateConflict);
    expect(conflict.keys).to.deep.equal(["taken"]);
    expect(await keys("", undefined, 10)).to.equal("taken");
  });

  it("takes a change only on top of the entry expected", async () => {
    const state = engine().state("q");
    const [first] = await state.commit([put("k", "1", "absent")]);
    const [second] = await state.commit([put("k", "2", first)]);
    expect(second).not.to.equal(first);
    await failure(state.commit([put("k", "3", first)]), StateConflict);
    await failure(state.commit([put("k", "3", "absent")]), StateConflict);
    await state.commit([put("k", null, second)]);
    await failure(state.commit([put("k", "3", second)]), StateConflict);
    expect(await state.get("k")).to.equal(undefined);
  });

  it("never gives an entry the token of an earlier one, not even after a restart", async () => {
    const seen = new Set<Token>();
    let state = engine().state("q");
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 3; i++) {
        const [token] = await state.commit([put("k", "v")]);
        expect(seen.has(token!)).to.equal(false);
        seen.add(token!);
        await state.commit([put("k", null)]);
      }
      state = (await restart()).state("q");
    }
  });

  it("applies the commits of one turn in call order, and refuses only those that conflict", async () => {
    const state = engine().state("q");
    const first = state.commit([put("k", "1", "absent")]);
    const second = failure(state.commit([put("k", "2", "absent"), put("other", "x")]), StateConflict);
    const third = state.commit([put("k", "3")]);
    await Promise.all([first, second, third]);
    expect((await state.get("k"))?.value.toString()).to.equal("3");
    expect(await state.get("other")).to.equal(undefined);
    expect((await state.get("k"))?.token).to.equal((await third)[0]);
  });

  it("lists by prefix, in bytewise order, in pages", async () => {
    const state = engine().state("q");
    await state.commit(["b/2", "a/1", "b/10", "b/1", "b0", "b/~", "c", "b"].map((key) => put(key, key)));
    expect(await keys("b/", undefined, 10)).to.equal("b/1 b/10 b/2 b/~");
    expect(await keys("b/", undefined, 2)).to.equal("b/1 b/10");
    expect(await keys("b/", "b/10", 2)).to.equal("b/2 b/~");
    expect(await keys("b/", "b/~", 2)).to.equal("");
    expect(await keys("b/", "a", 1)).to.equal("b/1");
    expect(await keys("b/", "c", 1)).to.equal("");
    expect(await keys("", undefined, 10)).to.equal("a/1 b b/1 b/10 b/2 b/~ b0 c");
  });

  it("keeps a value of 1 MiB and 64 KiB, an empty one, and a key of 512 bytes", async () => {
    const state = engine().state("q");
    const large = Buffer.alloc(1_114_112, 5);
    const key = "k".repeat(512);
    await state.commit([
      { key: "large", value: large, expect: "any" },
      { key, value: Buffer.alloc(0), expect: "any" },
    ]);
    expect((await state.get("large"))?.value.equals(large)).to.equal(true);
    expect((await state.get(key))?.value.length).to.equal(0);
  });

  it("keeps queues and the catalog apart", async () => {
    await Promise.all([
      engine().state("one").commit([put("k", "1")]),
      engine().state("two").commit([put("k", "2")]),
      engine().catalog.commit([put("k", "3")]),
    ]);
    const values = await Promise.all([engine().state("one").get("k"), engine().state("two").get("k"), engine().catalog.get("k")]);
    expect(values.map((entry) => entry?.value.toString())).to.deep.equal(["1", "2", "3"]);
    expect(await engine().catalog.list("", undefined, 10)).to.have.length(1);
  });

  it("hands out values that later reads and writes leave alone", async () => {
    const state = engine().state("q");
    await state.commit([put("a", "first"), put("b", "other")]);
    const entry = await state.get("a");
    await state.get("b");
    await state.commit([put("a", "second")]);
    expect(entry?.value.toString()).to.equal("first");
  });
}
