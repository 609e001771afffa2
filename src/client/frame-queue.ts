import { performance } from "node:perf_hooks";
import type { MessageEncoder } from "./message-encoder.js";
import { PublishFrame, type Reject, type Resolve } from "./publish-frame.js";

/** Frames that wait to be sent, oldest first. The last one of each queue still takes messages. */
export class FrameQueue {
  private frames: PublishFrame[] = [];
  private readonly collecting = new Map<string, PublishFrame>();
  private bytesWaiting = 0;

  /** @param now the monotonic clock, in milliseconds */
  constructor(private readonly now: () => number = () => performance.now()) {}

  get bytes(): number {
    return this.bytesWaiting;
  }

  get isEmpty(): boolean {
    return this.frames.length === 0;
  }

  /** When the first message in line came. Undefined: nobody waits. */
  get oldestMs(): number | undefined {
    return this.frames[0]?.bornMs;
  }

  /** Adds the message that `encoder` took last. */
  add(queue: string, encoder: MessageEncoder, resolve: Resolve, reject: Reject): void {
    let frame = this.collecting.get(queue);
    if (frame?.hasRoomFor(encoder.bytes) !== true) {
      frame = new PublishFrame(queue, this.now());
      this.frames.push(frame);
      this.collecting.set(queue, frame);
    }
    frame.add(encoder, resolve, reject);
    this.bytesWaiting += encoder.bytes;
  }

  /** Takes out the first frame in line, which from then on is closed. */
  shift(): PublishFrame | undefined {
    const frame = this.frames.shift();
    if (frame !== undefined) this.remove(frame);
    return frame;
  }

  /** Puts frames back in front, in their order. They take no more messages. */
  putBack(frames: readonly PublishFrame[]): void {
    this.frames = [...frames, ...this.frames];
    for (const frame of frames) this.bytesWaiting += frame.bytes;
  }

  /** Takes out all frames whose first message came at `bornMs` or before. */
  takeOlderThan(bornMs: number): PublishFrame[] {
    const old = this.frames.filter((frame) => frame.bornMs <= bornMs);
    this.frames = this.frames.filter((frame) => frame.bornMs > bornMs);
    for (const frame of old) this.remove(frame);
    return old;
  }

  private remove(frame: PublishFrame): void {
    this.bytesWaiting -= frame.bytes;
    if (this.collecting.get(frame.queue) === frame) this.collecting.delete(frame.queue);
  }
}
