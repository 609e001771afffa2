/**
 * The yardstick: the same calls with the same messages, on the same gRPC library and the same store, with nothing of a broker
 * in between. Serves on the port, with its data in the directory, that the command line names, until it is killed.
 *
 * - Publish: answered at once; what a unary call costs.
 * - PublishStream: each frame is stored as it came, one commit at a time with all frames that came meanwhile, and answered when
 *   it is on disk; what a stream and a durable commit cost.
 * - Subscribe: the one frame that the client sends is repeated until the client cancels; what a stream of frames costs.
 */
import { Server, ServerCredentials } from "@grpc/grpc-js";
import type { sendUnaryData, ServerDuplexStream, ServerUnaryCall } from "@grpc/grpc-js";
import { open } from "lmdb";
import { BrokerServiceService } from "../../generated/tidemark/v1/broker_service.js";
import { PublishResponse, PublishStreamRequest, PublishStreamResponse } from "../../generated/tidemark/v1/publish.js";
import type { PublishRequest } from "../../generated/tidemark/v1/publish.js";

const KEY_BYTES = 8;

const [port = "", directory = ""] = process.argv.slice(2);
const store = open<Buffer, Buffer>({ path: directory, overlappingSync: false, eventTurnBatching: false, keyEncoding: "binary", encoding: "binary" });
const raw = (bytes: Buffer): Buffer => bytes;
const { publish, publishStream, subscribe } = BrokerServiceService;

interface Waiting {
  readonly frame: Buffer;
  readonly call: ServerDuplexStream<Buffer, Buffer>;
}

let waiting: Waiting[] = [];
let committing = false;
let lastKey = 0n;

function commitSoon(): void {
  if (committing) return;
  committing = true;
  setImmediate(() => {
    commit().catch((error: unknown) => {
      console.error(error);
      process.exit(1);
    });
  });
}

async function commit(): Promise<void> {
  while (waiting.length > 0) {
    const batch = waiting;
    waiting = [];
    await store.transaction(() => {
      for (const { frame } of batch) {
        const key = Buffer.allocUnsafe(KEY_BYTES);
        key.writeBigUInt64BE(++lastKey);
        store.putSync(key, frame);
      }
    });
    const answers = new Map<Waiting["call"], bigint[]>();
    for (const { frame, call } of batch) {
      const ids = answers.get(call);
      const { requestId } = PublishStreamRequest.decode(frame.subarray(0, requestIdBytes(frame)));
      if (ids === undefined) answers.set(call, [requestId]);
      else ids.push(requestId);
    }
    for (const [call, ids] of answers) {
      const results = ids.map((requestId) => ({ requestId, firstOffset: 0n, duplicate: false, code: 0, reason: "", detail: "", retryAfter: undefined, publishTime: undefined, unmatchedCount: 0, outcomes: [] }));
      call.write(Buffer.from(PublishStreamResponse.encode({ results }).finish()));
    }
  }
  committing = false;
}

/** The first field of a frame, `request_id`: a tag byte and a varint. */
function requestIdBytes(frame: Buffer): number {
  let end = 1;
  while ((frame[end] ?? 0) >= 0x80) end++;
  return end + 1;
}

const server = new Server({ "grpc.max_receive_message_length": -1 });
server.addService(
  {
    publish,
    publishStream: { ...publishStream, requestDeserialize: raw, responseSerialize: raw },
    subscribe: { ...subscribe, requestDeserialize: raw, responseSerialize: raw },
  },
  {
    publish(_call: ServerUnaryCall<PublishRequest, PublishResponse>, callback: sendUnaryData<PublishResponse>) {
      callback(null, PublishResponse.create({ offset: 1n }));
    },
    publishStream(call: ServerDuplexStream<Buffer, Buffer>) {
      call.on("data", (frame: Buffer) => {
        waiting.push({ frame, call });
        commitSoon();
      });
      call.on("end", () => {
        call.end();
      });
    },
    subscribe(call: ServerDuplexStream<Buffer, Buffer>) {
      call.once("data", (frame: Buffer) => {
        const fill = (): void => {
          while (!call.cancelled && call.write(frame));
        };
        call.on("drain", fill);
        fill();
      });
      call.on("error", () => {
        call.removeAllListeners("drain");
      });
    },
  },
);
server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error) => {
  if (error !== null) throw error;
});
