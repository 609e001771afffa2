import { BrokerError } from "../core/errors.js";
import type { StartPoint } from "../core/session.js";
import { offset } from "../core/units.js";
import type { Offset } from "../core/units.js";
import type { Log } from "../ports/log.js";

/**
 * The offset after which a start begins. BEYOND_HEAD when that was never published.
 * @param message who says so in the request
 */
export function startOffset(start: StartPoint, message: string, { queue, log }: { readonly queue: string; readonly log: Pick<Log, "head"> }): Offset {
  const { first, next } = log.head();
  if (start.kind === "earliest") return offset(first - 1);
  if (start.kind === "latest") return offset(next - 1);
  if (start.offset >= next) {
    throw new BrokerError("BEYOND_HEAD", `start_after_offset is ${start.offset}, and the last message of queue ${queue} has offset ${next - 1}`, {
      field: `${message}.start_after_offset`,
      value: String(start.offset),
      limit: `${first - 1} to ${next - 1}`,
    });
  }
  return start.offset;
}
