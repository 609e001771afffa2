import { Metadata } from "@grpc/grpc-js";
import type { Client, ClientDuplexStream, ServiceError, StatusObject } from "@grpc/grpc-js";
import { decodeStatusDetails } from "../../src/client/status-details.js";
import { within } from "./condition.js";

const DEADLINE_MS = 10_000;

/** How a call ended. */
export interface CallEnd {
  readonly code: number;
  readonly details: string;
  /** Empty when the status carries no ErrorInfo. */
  readonly reason: string;
  readonly metadata: Readonly<Record<string, string>>;
}

const same = (bytes: Buffer): Buffer => bytes;

/** A unary call of any bytes to any method, and how it ended. */
export function rawUnary(client: Client, path: string, request: Buffer): Promise<CallEnd> {
  const ended = new Promise<CallEnd>((resolve) => {
    const call = client.makeUnaryRequest(path, same, same, request, new Metadata(), {}, () => undefined);
    call.on("status", (status) => {
      resolve(callEnd(status));
    });
  });
  return within(`${path} is answered`, DEADLINE_MS, ended);
}

/** A bidirectional call of any bytes. */
export class RawStream {
  readonly ended: Promise<CallEnd>;
  readonly received: Buffer[] = [];
  private readonly call: ClientDuplexStream<Buffer, Buffer>;

  constructor(client: Client, path: string) {
    this.call = client.makeBidiStreamRequest(path, same, same, new Metadata(), {});
    this.call.on("data", (bytes: Buffer) => this.received.push(bytes));
    // The status event says the same; without a listener an error would end the process.
    this.call.on("error", () => undefined);
    const ended = new Promise<CallEnd>((resolve) => {
      this.call.on("status", (status: StatusObject) => {
        resolve(callEnd(status));
      });
    });
    this.ended = within(`${path} ends`, DEADLINE_MS, ended);
    // Who does not ask how it ended has nothing to hear.
    this.ended.catch(() => undefined);
  }

  write(bytes: Uint8Array): this {
    this.call.write(Buffer.from(bytes));
    return this;
  }

  end(): this {
    this.call.end();
    return this;
  }

  cancel(): void {
    this.call.cancel();
  }

  /** Stops taking in what comes, as a client that hangs: its transport's window fills up. */
  pause(): void {
    this.call.pause();
  }

  resume(): void {
    this.call.resume();
  }
}

/** A status, its details read. */
export function callEnd(status: Pick<StatusObject, "code" | "details" | "metadata">): CallEnd {
  const [details] = status.metadata.get("grpc-status-details-bin");
  const { reason, metadata } = decodeStatusDetails(details instanceof Buffer ? details : undefined);
  return { code: status.code, details: status.details, reason, metadata };
}

/** How a call ended that must not succeed. */
export async function refusal(work: Promise<unknown>): Promise<CallEnd> {
  try {
    await work;
  } catch (error) {
    return callEnd(error as ServiceError);
  }
  throw new Error("it went through");
}
