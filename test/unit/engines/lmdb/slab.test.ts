import { expect } from "chai";
import { Slab } from "../../../../src/engines/lmdb/slab.js";

describe("a slab", () => {
  it("gives room that overlaps with no other and begins at a multiple of 8", () => {
    const slab = new Slab();
    const rooms = Array.from({ length: 500 }, (_, i) => slab.allocate(i % 300).fill(i % 251));
    for (const [i, room] of rooms.entries()) {
      expect(room).to.have.length(i % 300);
      expect(room.byteOffset % 8).to.equal(0);
      expect(room.every((byte) => byte === i % 251)).to.equal(true);
    }
  });

  it("lets small records lie side by side, and gives large ones a buffer of their own", () => {
    const slab = new Slab();
    expect(slab.allocate(100).buffer).to.equal(slab.allocate(100).buffer);
    const large = slab.allocate(5_000);
    expect(large.buffer.byteLength).to.equal(5_000);
  });
});
