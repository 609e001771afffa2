import { fileURLToPath } from "node:url";
import { credentials } from "@grpc/grpc-js";
import type { ClientDuplexStream } from "@grpc/grpc-js";
import { BrokerServiceClient, BrokerServiceService } from "../../generated/tidemark/v1/broker_service.js";
import { Message, NewMessage } from "../../generated/tidemark/v1/message.js";
import { PublishRequest, PublishStreamRequest } from "../../generated/tidemark/v1/publish.js";
import type { PublishResponse, PublishStreamResponse } from "../../generated/tidemark/v1/publish.js";
import { Deliveries, SubscribeResponse } from "../../generated/tidemark/v1/subscribe.js";
import { freePort, Program, throwAwayDirectory } from "../contestants/program.js";
import { type Cell, type Figures, rate } from "../measures/measure.js";

const SERVER = fileURLToPath(new URL("bare-server.ts", import.meta.url));
const FRAME_MESSAGES = 100;
/** As the broker bounds a delivery. */
const FRAME_BYTES_MAX = 1024 * 1024;
const EVENT = "bench.published";
const WINDOW_BYTES = 1024 * 1024;

/** What the stack itself can do, with a server that does nothing but move and store bytes. */
export interface Limits {
  readonly address: string;
  /** Unary echo with so many calls on their way. */
  echo(callers: number, payload: Buffer): Cell;
  /** Frames of so many messages over one stream, so many frames unanswered, each stored in a durable commit. */
  streamToDisk(framesInFlight: number, messages: number, payload: Buffer): Cell;
  /** Frames of 100 messages, or of fewer large ones, down one stream, decoded by the client. */
  framesDown(payload: Buffer): Cell;
  stop(): Promise<void>;
}

export async function startLimits(): Promise<Limits> {
  const directory = await throwAwayDirectory("bare");
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  const program = await Program.start({ command: process.execPath, args: ["--import", "tsx", SERVER, String(port), directory.path], port });
  const client = new BrokerServiceClient(address, credentials.createInsecure(), { "grpc-node.flow_control_window": WINDOW_BYTES, "grpc.max_receive_message_length": -1 });
  const cell = (contestant: string, run: (ms: number) => Promise<Figures>): Cell => ({
    contestant,
    resume: () => {
      program.resume();
    },
    pause: () => {
      program.pause();
    },
    run,
  });
  return {
    address,
    echo: (callers, payload) => cell("bare unary echo", (ms) => echo(client, callers, payload, ms)),
    streamToDisk: (framesInFlight, messages, payload) => cell("bare stream + LMDB", (ms) => streamToDisk(client, framesInFlight, messages, payload, ms)),
    framesDown: (payload) => {
      const messages = Math.min(FRAME_MESSAGES, Math.floor(FRAME_BYTES_MAX / payload.length));
      return cell(`bare frames of ${messages}`, (ms) => framesDown(client, messages, payload, ms));
    },
    async stop() {
      client.close();
      await program.stop();
      await directory.remove();
    },
  };
}

async function echo(client: BrokerServiceClient, callers: number, payload: Buffer, ms: number): Promise<Figures> {
  const request = PublishRequest.create({ queue: "bench", message: newMessage(payload) });
  const call = (): Promise<PublishResponse> =>
    new Promise((resolve, reject) => {
      client.publish(request, (error, response) => {
        if (error === null) resolve(response);
        else reject(error);
      });
    });
  const started = performance.now();
  let done = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() - started < ms) {
      await call();
      done++;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return rate(done, started);
}

/** A closed loop as of callers that each wait for their answer: as many frames are on their way as ever. */
function streamToDisk(client: BrokerServiceClient, framesInFlight: number, messages: number, payload: Buffer, ms: number): Promise<Figures> {
  const batch = Array.from({ length: messages }, () => newMessage(payload));
  return new Promise((resolve, reject) => {
    const call = client.publishStream();
    const started = performance.now();
    let sent = 0n;
    let answered = 0n;
    const send = (): void => {
      call.write(PublishStreamRequest.create({ requestId: ++sent, queue: "bench", messages: batch, independent: true }));
    };
    call.on("data", ({ results }: PublishStreamResponse) => {
      for (const { code, detail } of results) {
        if (code !== 0) reject(new Error(`a frame failed: ${detail}`));
        answered++;
        if (performance.now() - started < ms) send();
      }
      if (answered === sent) {
        resolve(rate(Number(answered) * messages, started));
        call.end();
      }
    });
    call.on("error", reject);
    for (let i = 0; i < framesInFlight; i++) send();
  });
}

function framesDown(client: BrokerServiceClient, count: number, payload: Buffer, ms: number): Promise<Figures> {
  const messages = Array.from({ length: count }, (_, i) => Message.create({ offset: BigInt(i + 1), event: EVENT, payload, publishTime: { seconds: 1n, nanos: 0 } }));
  const frame = Buffer.from(SubscribeResponse.encode({ frame: { $case: "deliveries", value: Deliveries.create({ messages }) } }).finish());
  const { path, responseDeserialize } = BrokerServiceService.subscribe;
  return new Promise((resolve, reject) => {
    const call: ClientDuplexStream<Buffer, SubscribeResponse> = client.makeBidiStreamRequest(path, (bytes: Buffer) => bytes, responseDeserialize);
    const started = performance.now();
    let received = 0;
    let over = false;
    call.on("data", (response: SubscribeResponse) => {
      if (over || response.frame?.$case !== "deliveries") return;
      received += response.frame.value.messages.length;
      if (performance.now() - started < ms) return;
      over = true;
      resolve(rate(received, started));
      call.cancel();
    });
    call.on("error", (error) => {
      if (!over) reject(error);
    });
    call.write(frame);
  });
}

function newMessage(payload: Buffer): NewMessage {
  return NewMessage.create({ event: EVENT, body: { $case: "payload", value: payload } });
}
