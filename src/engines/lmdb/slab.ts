const SLAB_BYTES = 16 * 1024;
/** What is larger gets a buffer of its own. */
const SHARING_BYTES_MAX = 2 * 1024;
const ALIGNMENT = 8;

/**
 * Where small records that are read one after the other lie side by side: a buffer for each would cost more than its bytes, in
 * objects outside of the heap for the garbage collector to follow. A record keeps the slab alive that it lies in, so this is for
 * what is let go of together.
 */
export class Slab {
  private bytes = Buffer.alloc(0);
  private used = 0;

  /** Room that begins at a multiple of 8 and is not filled with anything. */
  readonly allocate = (size: number): Buffer => {
    if (size > SHARING_BYTES_MAX) return Buffer.allocUnsafeSlow(size);
    if (this.used + size > this.bytes.length) {
      this.bytes = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.used = 0;
    }
    const start = this.used;
    this.used = Math.ceil((start + size) / ALIGNMENT) * ALIGNMENT;
    return this.bytes.subarray(start, start + size);
  };
}
