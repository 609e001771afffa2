import { type ServiceError, status } from "@grpc/grpc-js";
import type { WatchClientsResponse } from "../../generated/tidemark/v1/admin_service.js";
import { LeaveReason } from "../../generated/tidemark/v1/client.js";
import { type ClientInfo, clientInfo } from "./client-info.js";
import type { Connection } from "./connection.js";
import { enumName } from "./enum-name.js";
import { TidemarkError } from "./tidemark-error.js";
import { timestampToDate } from "./wire-time.js";

/** Which clients to watch, and how long. */
export interface WatchOptions {
  /** Only those of this queue. Default: all. */
  readonly queue?: string;
  /** Only those of this durable subscriber; needs `queue`. Default: all. */
  readonly subscriber?: string;
  /** Ends the watch without an error when it is aborted. */
  readonly signal?: AbortSignal;
}

/** What a watch of clients tells. Ignore types that you do not know. */
export type ClientEvent =
  /** A session was there at the start, or was opened; or its window, filter, standby or draining changed. */
  | { readonly type: "joined" | "changed"; readonly client: ClientInfo }
  /** A session ended. */
  | {
      readonly type: "left";
      /** As it was last. */
      readonly client: ClientInfo;
      /** Such as "CANCELLED", "CONNECTION_LOST" or "DISCONNECTED"; "UNRECOGNIZED" for what is newer than this client. */
      readonly reason: string;
      /** For people: the error that it got, the words of the operator. May be empty. */
      readonly detail: string;
      /** Undefined if the broker did not say. */
      readonly time: Date | undefined;
    }
  /** The sessions of the start are complete: so many were told. */
  | { readonly type: "listed"; readonly clientCount: number };

/**
 * Makes one WatchClients call. See Admin.watchClients.
 * @param closed aborted when the application closes the client
 */
export async function* watchClients(
  connection: Connection,
  patienceMs: number,
  closed: AbortSignal,
  { queue = "", subscriber = "", signal }: WatchOptions,
): AsyncGenerator<ClientEvent, void, undefined> {
  const over = signal === undefined ? closed : AbortSignal.any([closed, signal]);
  await connection.ready(patienceMs);
  const call = connection.admin.watchClients({ queue, subscriber });
  const cancel = (): void => {
    call.cancel();
  };
  over.addEventListener("abort", cancel);
  if (over.aborted) cancel();
  try {
    for await (const response of call as AsyncIterable<WatchClientsResponse>) {
      const event = clientEvent(response);
      if (event !== undefined) yield event;
    }
  } catch (error) {
    if (over.aborted && isServiceError(error) && error.code === status.CANCELLED) return;
    throw isServiceError(error) ? TidemarkError.fromCall(error) : error;
  } finally {
    over.removeEventListener("abort", cancel);
    // What a call that was cancelled says about itself is for nobody.
    call.on("error", () => undefined);
    cancel();
  }
}

function clientEvent({ change }: WatchClientsResponse): ClientEvent | undefined {
  if (change === undefined) return undefined;
  if (change.$case === "listed") return { type: "listed", clientCount: change.value.clientCount };
  const { client } = change.value;
  if (client === undefined) throw new TidemarkError("INTERNAL", "", `the broker's answer ${change.$case} has no client`);
  if (change.$case !== "left") return { type: change.$case, client: clientInfo(client) };
  const { reason, detail, leaveTime } = change.value;
  return { type: "left", client: clientInfo(client), reason: enumName(LeaveReason, reason), detail, time: leaveTime === undefined ? undefined : timestampToDate(leaveTime) };
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "metadata" in error;
}
