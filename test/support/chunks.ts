import { ChunkBuilder } from "../../src/core/chunk-builder.js";
import { fingerprint, messageIdHash } from "../../src/core/hash.js";
import type { NewMessage } from "../../src/core/message.js";
import { offset, wallMs } from "../../src/core/units.js";
import type { ChunkRecord, Head } from "../../src/ports/log.js";
import { newMessage } from "./messages.js";

/** One sealed chunk of these messages, to follow `head`. */
export function chunkAfter(head: Pick<Head, "next" | "cumulativeMessages" | "cumulativeBytes">, messages: readonly NewMessage[]): ChunkRecord {
  const builder = new ChunkBuilder();
  for (const message of messages) {
    const taken = builder.add(message, {
      publishTimeMs: wallMs(1_764_000_000_000),
      messageIdHash: messageIdHash(message.messageId),
      fingerprint: fingerprint(message),
      joinsPrevious: false,
    });
    if (!taken) throw new Error("these messages do not fit into one chunk");
  }
  return builder.seal(head.next, head.cumulativeMessages, head.cumulativeBytes);
}

/** One chunk for each number, with so many small messages, to follow `head` in order. */
export function chunksAfter(head: Pick<Head, "next" | "cumulativeMessages" | "cumulativeBytes">, counts: readonly number[]): ChunkRecord[] {
  let { next, cumulativeMessages, cumulativeBytes } = head;
  return counts.map((count) => {
    const messages = Array.from({ length: count }, (_, i) => newMessage({ payload: Buffer.from(`message ${next + i}`), messageId: `id-${next + i}` }));
    const record = chunkAfter({ next, cumulativeMessages, cumulativeBytes }, messages);
    next = offset(record.chunk.last + 1);
    ({ cumulativeMessages, cumulativeBytes } = record.chunk);
    return record;
  });
}
