import { BrokerError } from "../core/errors.js";
import { invalidField } from "../core/names.js";
import type { OpenSession, Sharing } from "../core/session.js";
import type { Offset } from "../core/units.js";
import type { ClientRegistry } from "./client-registry.js";
import type { LiveSession } from "./live-session.js";

/** BEYOND_HEAD when a client claims to have done what was never published. */
export function checkClaims({ queue, claims }: OpenSession, head: Offset): void {
  if (claims.processedThrough !== undefined) checkWithin(queue, "open.processed_through", claims.processedThrough, head);
  claims.done.forEach(({ last }, i) => {
    checkWithin(queue, `open.done[${i}].last`, last, head);
  });
}

function checkWithin(queue: string, field: string, value: Offset, head: Offset): void {
  if (value <= head) return;
  throw new BrokerError("BEYOND_HEAD", `${field} is ${value}, and the last message of queue ${queue} has offset ${head}`, {
    field,
    value: String(value),
    limit: `0 to ${head}`,
  });
}

/** The session that this open replaces, if it is still there. INVALID_FIELD when it is not the client's own to end. */
export function predecessorOf({ queue, subscriber, replacesSessionId }: OpenSession, clients: ClientRegistry): LiveSession | undefined {
  const found = replacesSessionId === "" ? undefined : clients.find(replacesSessionId);
  if (found !== undefined && (found.queue !== queue || found.subscriber !== subscriber)) {
    throw invalidField("open.replaces_session_id", replacesSessionId, "an earlier session of the same queue and subscriber");
  }
  return found;
}

/** What a session that was replaced is told. */
export function replacedError(id: string): BrokerError {
  return new BrokerError("REPLACED", "another session named this one in replaces_session_id: the client has come back on a new stream", { session_id: id });
}

/** What of a subscription an open is held against. */
export interface OpenedAgainst {
  readonly name: string;
  /** Of the sessions that are open; undefined: there are none. */
  readonly sharing: Sharing | undefined;
  committedOffset(): Offset;
  /** How far verdicts and claims have settled messages. */
  readonly settledThrough: Offset;
  /** The session would stand by. */
  readonly isTaken: boolean;
}

/** SHARING_MISMATCH or CLIENT_BEHIND, as things are in this turn. */
export function checkAgainst(open: OpenSession, subscription: OpenedAgainst): void {
  const { name, sharing } = subscription;
  if (sharing !== undefined && sharing !== open.sharing) {
    if (open.kind === "PULL") throw pullNotShared(name, sharing);
    throw new BrokerError(
      "SHARING_MISMATCH",
      `subscriber ${name} has sessions open as SHARING_${sharing}, so another one cannot be SHARING_${open.sharing}: say the same, or wait until they have gone`,
      { field: "open.sharing", value: `SHARING_${open.sharing}`, open: `SHARING_${sharing}` },
    );
  }
  const { processedThrough } = open.claims;
  if (processedThrough === undefined || subscription.isTaken) return;
  const { settledThrough } = subscription;
  if (processedThrough >= settledThrough) return;
  const committedOffset = subscription.committedOffset();
  throw new BrokerError(
    "CLIENT_BEHIND",
    `processed_through is ${processedThrough}, and subscriber ${name} has settled messages up to offset ${settledThrough} (committed offset ${committedOffset}): ` +
      "the client has lost what it knew of those in between; seek the subscriber back if it is meant to get them again",
    {
      field: "open.processed_through",
      value: String(processedThrough),
      settled_through: String(settledThrough),
      committed_offset: String(committedOffset),
    },
  );
}

function pullNotShared(name: string, sharing: Sharing): BrokerError {
  return new BrokerError(
    "SHARING_MISMATCH",
    `subscriber ${name} has sessions open as SHARING_${sharing}, of which one works at a time, and whoever pulls shares: wait until they have gone, or open a stream that stands by`,
    { field: "subscriber", value: name, open: `SHARING_${sharing}` },
  );
}
