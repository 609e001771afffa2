import { expect } from "chai";
import fc from "fast-check";
import { HeldIds } from "../../../src/broker/held-ids.js";
import { wallMs } from "../../../src/core/units.js";

describe("the ids of what is put off", () => {
  const held = (number: number): { dueTimeMs: ReturnType<typeof wallMs>; number: number; fingerprint: bigint; acceptTimeMs: ReturnType<typeof wallMs> } => ({
    dueTimeMs: wallMs(1_764_000_000_000 + number),
    number,
    fingerprint: BigInt(number) << 40n,
    acceptTimeMs: wallMs(1_763_000_000_000 + number),
  });

  it("are found with what was said of them until they are let go of", () => {
    const ids = new HeldIds();
    ids.add(0xffff_ffff_ffff_ffffn, held(1));
    ids.add(1n, held(2));
    expect(ids.find(0xffff_ffff_ffff_ffffn)).to.deep.equal(held(1));
    ids.remove(0xffff_ffff_ffff_ffffn, 1);
    expect(ids.find(0xffff_ffff_ffff_ffffn)).to.equal(undefined);
    expect(ids.find(1n)).to.deep.equal(held(2));
    expect(ids.size).to.equal(1);
  });

  it("stay when another message that had the same id goes", () => {
    const ids = new HeldIds();
    ids.add(7n, held(2));
    ids.remove(7n, 1);
    expect(ids.find(7n)).to.deep.equal(held(2));
  });

  it("behave as a map would, through growth and removals among ids that collide", () => {
    // Few values above the bits of the shard, so that places are shared.
    const id = fc.tuple(fc.integer({ min: 0, max: 1 }), fc.integer({ min: 0, max: 40 })).map(([shard, rest]) => (BigInt(rest) << 8n) + BigInt(shard) + 2n);
    fc.assert(
      fc.property(fc.array(fc.record({ id, adds: fc.boolean() }), { maxLength: 300 }), (steps) => {
        const ids = new HeldIds();
        const model = new Map<bigint, number>();
        steps.forEach(({ id: value, adds }, step) => {
          const known = model.get(value);
          if (adds && known === undefined) {
            ids.add(value, held(step));
            model.set(value, step);
          } else if (!adds && known !== undefined) {
            ids.remove(value, known);
            model.delete(value);
          }
        });
        expect(ids.size).to.equal(model.size);
        for (const { id: value } of steps) expect(ids.find(value)?.number).to.equal(model.get(value));
      }),
    );
  });
});
