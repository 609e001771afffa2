/**
 * How much of a bare gRPC call is left when every message is on disk before it is answered. Servers are processes of their
 * own; the client is this process, through the generated stub. `--quick` is for a first look: few and short rounds.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { arch, cpus, platform, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { credentials } from "@grpc/grpc-js";
import { BrokerServiceClient } from "../generated/tidemark/v1/broker_service.js";
import { Durability, NewMessage } from "../generated/tidemark/v1/message.js";
import { PublishRequest, PublishStreamRequest } from "../generated/tidemark/v1/publish.js";
import type { PublishResponse, PublishStreamResponse } from "../generated/tidemark/v1/publish.js";
import { ServerProcess, temporaryDataDir } from "../test/support/server-process.js";
import { type Cell, measure, table } from "./measurement.js";

const PAYLOAD_BYTES = 128;
const QUEUE = "bench";

const quick = process.argv.includes("--quick");
const rounds = quick ? 3 : 7;
const cellMs = quick ? 600 : 3_000;

const message = NewMessage.create({ event: "bench.published", body: { $case: "payload", value: Buffer.alloc(PAYLOAD_BYTES, "x") } });
const request = PublishRequest.create({ queue: QUEUE, message });

function publish(client: BrokerServiceClient): Promise<PublishResponse> {
  return new Promise((resolve, reject) => {
    client.publish(request, (error, response) => {
      if (error === null) resolve(response);
      else reject(error);
    });
  });
}

/** `concurrency` callers, each with one unary call on its way. */
function unaryCell(name: string, client: BrokerServiceClient, concurrency: number, against: string | undefined): Cell {
  return {
    name,
    against,
    async run(until) {
      let done = 0;
      const caller = async (): Promise<void> => {
        while (performance.now() < until) {
          await publish(client);
          done++;
        }
      };
      await Promise.all(Array.from({ length: concurrency }, caller));
      return done;
    },
  };
}

/** One stream that keeps `framesInFlight` frames of `messagesPerFrame` messages unanswered. */
function streamCell(name: string, client: BrokerServiceClient, framesInFlight: number, messagesPerFrame: number, against: string): Cell {
  const messages = Array.from({ length: messagesPerFrame }, () => message);
  return {
    name,
    against,
    run(until) {
      return new Promise((resolve, reject) => {
        const call = client.publishStream();
        let sent = 0n;
        let done = 0;
        const send = (): void => {
          call.write(PublishStreamRequest.create({ requestId: ++sent, queue: QUEUE, messages }));
        };
        call.on("data", (response: PublishStreamResponse) => {
          for (const result of response.results) {
            if (result.code !== 0) reject(new Error(`a frame failed with ${result.code} ${result.reason}: ${result.detail}`));
            done += messagesPerFrame;
            if (performance.now() < until) send();
          }
          if (BigInt(done / messagesPerFrame) === sent) call.end();
        });
        call.on("error", reject);
        call.on("end", () => {
          resolve(done);
        });
        for (let i = 0; i < framesInFlight; i++) send();
      });
    },
  };
}

async function startEcho(): Promise<{ readonly child: ChildProcess; readonly address: string }> {
  const program = fileURLToPath(new URL("echo-server.ts", import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", program], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string];
  const address = /127\.0\.0\.1:\d+/.exec(line)?.[0];
  if (address === undefined) throw new Error(`the echo server said ${JSON.stringify(line)} instead of where it listens`);
  return { child, address };
}

function versionOf(name: string): string {
  const manifest = JSON.parse(readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url), "utf8")) as { readonly version: string };
  return `${name} ${manifest.version}`;
}

const dataDir = await temporaryDataDir();
const [server, echo] = await Promise.all([ServerProcess.start({ dataDir: dataDir.path }), startEcho()]);
const broker = new BrokerServiceClient(server.address, credentials.createInsecure());
const bare = new BrokerServiceClient(echo.address, credentials.createInsecure());
try {
  const { durability } = await publish(broker);
  const [cpu] = cpus();
  console.log(`machine: ${cpus().length} x ${cpu?.model.trim() ?? "unknown"}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${platform()} ${release()} ${arch()}`);
  console.log(`versions: node ${process.versions.node}, ${versionOf("@grpc/grpc-js")}, ${versionOf("lmdb")}`);
  console.log(`durability: ${Durability[durability]}; payload ${PAYLOAD_BYTES} B; ${rounds} rounds of ${cellMs} ms a cell, interleaved\n`);
  const rows = await measure(
    [
      unaryCell("echo c=1", bare, 1, undefined),
      unaryCell("Publish c=1", broker, 1, "echo c=1"),
      unaryCell("echo c=64", bare, 64, undefined),
      unaryCell("Publish c=64", broker, 64, "echo c=64"),
      streamCell("PublishStream, 64 frames of 1", broker, 64, 1, "echo c=64"),
      streamCell("PublishStream, 16 frames of 100", broker, 16, 100, "echo c=64"),
    ],
    rounds,
    cellMs,
  );
  console.log(table(rows));
} finally {
  broker.close();
  bare.close();
  echo.child.kill("SIGKILL");
  await server.kill();
  await dataDir.remove();
}
