import type { SeekSubscriberRequest } from "../../generated/tidemark/v1/admin_service.js";
import { StartPosition } from "../../generated/tidemark/v1/subscribe.js";
import type { SubscriberPosition as WirePosition } from "../../generated/tidemark/v1/subscriber.js";
import type { SeekRequest, SeekTarget, SubscriberPosition } from "../broker/seek-api.js";
import { LIMITS } from "../core/limits.js";
import { checkName, invalidField } from "../core/names.js";
import type { OffsetRun } from "../core/session.js";
import { offset } from "../core/units.js";
import { exactNumber, publishedSince } from "./wire-numbers.js";

/** Where SeekSubscriber is to move whom. Offsets that are not there are for the queue to refuse. */
export function seekRequest({ queue, subscriber, target, dryRun }: SeekSubscriberRequest): SeekRequest {
  return { queue: checkName("queue", queue), subscriber: checkName("subscriber", subscriber), target: seekTarget(target), dryRun };
}

function seekTarget(wire: SeekSubscriberRequest["target"]): SeekTarget {
  switch (wire?.$case) {
    case undefined:
      throw invalidField("target", "", "to_position, after_offset, from_time or restore");
    case "toPosition":
      if (wire.value === StartPosition.EARLIEST) return { kind: "earliest" };
      if (wire.value === StartPosition.LATEST) return { kind: "latest" };
      throw invalidField("to_position", String(wire.value), "START_POSITION_EARLIEST or START_POSITION_LATEST");
    case "afterOffset":
      return { kind: "after_offset", offset: offset(exactNumber("after_offset", wire.value)) };
    case "fromTime":
      return { kind: "from_time", timeMs: publishedSince("from_time", wire.value) };
    case "restore":
      return { kind: "restore", position: position(wire.value) };
  }
}

function position({ committedOffset, settled }: WirePosition): SubscriberPosition {
  if (settled.length > LIMITS.positionRunsMax) throw invalidField("restore.settled", `${settled.length} runs`, `up to ${LIMITS.positionRunsMax} runs`);
  let after = exactNumber("restore.committed_offset", committedOffset);
  const runs = settled.map((run, i): OffsetRun => {
    const first = exactNumber(`restore.settled[${i}].first`, run.first);
    const last = run.last === 0n ? first : exactNumber(`restore.settled[${i}].last`, run.last);
    if (first <= after) throw invalidField(`restore.settled[${i}].first`, String(first), `${after + 1} or more: runs lie beyond committed_offset, by growing offset`);
    if (last < first) throw invalidField(`restore.settled[${i}].last`, String(last), `0, or ${first} and more`);
    after = last;
    return { first: offset(first), last: offset(last) };
  });
  return { committedOffset: offset(Number(committedOffset)), settled: runs };
}
