import { expect } from "chai";
import fc from "fast-check";
import { MinHeap } from "../../../src/core/min-heap.js";

describe("MinHeap", () => {
  it("gives its entries back in order, whatever the order they came in", () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { maxLength: 200 }), (keys) => {
        const heap = new MinHeap<number>((key) => key);
        keys.forEach((key) => { heap.push(key); });
        expect(heap.size).to.equal(keys.length);
        const popped: number[] = [];
        for (let key = heap.pop(); key !== undefined; key = heap.pop()) popped.push(key);
        expect(popped).to.deep.equal([...keys].sort((a, b) => a - b));
        expect(heap.size).to.equal(0);
      }),
    );
  });
});
