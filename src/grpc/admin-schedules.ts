import { CancelScheduledRequest, CancelScheduledResponse, ListScheduledRequest, ListScheduledResponse } from "../../generated/tidemark/v1/admin_service.js";
import { Message } from "../../generated/tidemark/v1/message.js";
import type { ScheduledMessage } from "../../generated/tidemark/v1/scheduled_message.js";
import { Deliveries } from "../../generated/tidemark/v1/subscribe.js";
import type { BrokerApi } from "../broker/api.js";
import type { ScheduledInfo } from "../broker/schedule-api.js";
import { LIMITS } from "../core/limits.js";
import { checkName, checkText, invalidField } from "../core/names.js";
import { decodeRequest, encodeMessage } from "./codec.js";
import { pageQuery, pageToken } from "./paging.js";
import { showAsText } from "./stored-messages.js";
import { timestamp } from "./wire-numbers.js";

/** The messages of a queue that are not due yet. One method each: decode, check, ask the broker, encode. */
export class ScheduleCalls {
  constructor(private readonly broker: BrokerApi) {}

  async listScheduled(bytes: Buffer): Promise<Buffer> {
    const request = decodeRequest(ListScheduledRequest, "ListScheduledRequest", bytes);
    const queue = checkName("queue", request.queue);
    const scope = `scheduled ${queue}`;
    const { size, after } = pageQuery(scope, request.pageSize, request.pageToken);
    const { omitPayload, textView } = request;
    const page = await this.broker.listScheduled(queue, { size, after, omitPayload });
    const scheduled = page.scheduled.map((info) => scheduledResource(queue, info, omitPayload, textView));
    return encodeMessage(ListScheduledResponse, { scheduled, nextPageToken: page.next === undefined ? "" : pageToken(scope, page.next) });
  }

  async cancelScheduled(bytes: Buffer): Promise<Buffer> {
    const request = decodeRequest(CancelScheduledRequest, "CancelScheduledRequest", bytes);
    const queue = checkName("queue", request.queue);
    const id = checkText("schedule_id", request.scheduleId, LIMITS.nameLengthMax);
    if (id === "") throw invalidField("schedule_id", id, "the schedule_id of a PublishResponse or of ListScheduled");
    const scheduled = await this.broker.cancelScheduled(queue, id);
    return encodeMessage(CancelScheduledResponse, { scheduled: scheduledResource(queue, scheduled, false, false) });
  }
}

function scheduledResource(queue: string, info: ScheduledInfo, omitPayload: boolean, textView: boolean): ScheduledMessage {
  const message = storedMessage(info);
  if (omitPayload) message.payload = Buffer.alloc(0);
  if (textView) showAsText([message]);
  return {
    queue,
    scheduleId: info.scheduleId,
    message,
    deliverTime: timestamp(info.dueTimeMs),
    acceptTime: info.acceptTimeMs === 0 ? undefined : timestamp(info.acceptTimeMs),
    payloadBytes: BigInt(info.payloadBytes),
  };
}

/** It has neither offset nor publish time yet. One that cannot be read is empty. */
function storedMessage({ message }: ScheduledInfo): Message {
  const [stored] = message.length === 0 ? [] : Deliveries.decode(message).messages;
  return stored === undefined ? Message.fromPartial({}) : { ...stored, publishTime: undefined };
}
