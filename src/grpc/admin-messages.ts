import { ListEventsRequest, ListEventsResponse, PeekMessagesRequest, PeekMessagesResponse } from "../../generated/tidemark/v1/admin_service.js";
import type { EventInfo as WireEvent } from "../../generated/tidemark/v1/queue.js";
import type { BrokerApi } from "../broker/api.js";
import type { EventInfo } from "../broker/event-list.js";
import type { PeekPage, PeekStart } from "../broker/peek.js";
import { EventFilter } from "../core/event-filter.js";
import { DEFAULTS, LIMITS } from "../core/limits.js";
import { checkName, invalidField } from "../core/names.js";
import { offset, wallMs } from "../core/units.js";
import { decodeRequest, encodeMessage } from "./codec.js";
import { page, pageQuery } from "./paging.js";
import { copyStored, showAsText, storedBytes } from "./stored-messages.js";
import { clampedNumber, exactNumber, timestamp, wallTimeMs } from "./wire-numbers.js";

/** The messages of a queue, looked at and counted. One method each: decode, check, ask the broker, encode. */
export class MessageCalls {
  constructor(private readonly broker: BrokerApi) {}

  async peekMessages(bytes: Buffer): Promise<Buffer> {
    const request = decodeRequest(PeekMessagesRequest, "PeekMessagesRequest", bytes);
    const found = await this.broker.peek(checkName("queue", request.queue), {
      start: peekStart(request.from),
      filter: EventFilter.parse(request.events),
      maxMessages: Math.min(request.maxMessages === 0 ? DEFAULTS.peekMessages : request.maxMessages, LIMITS.peekMessagesMax),
      maxBytes: Math.min(request.maxBytes === 0n ? DEFAULTS.peekBytes : clampedNumber(request.maxBytes), LIMITS.peekBytesMax),
    });
    return request.textView ? peekTextResponse(found) : peekResponse(found);
  }

  async listEvents(bytes: Buffer): Promise<Buffer> {
    const request = decodeRequest(ListEventsRequest, "ListEventsRequest", bytes);
    const queue = checkName("queue", request.queue);
    const scope = `events ${queue}`;
    const query = pageQuery(scope, request.pageSize, request.pageToken);
    const found = await this.broker.listEvents(queue, query.after, query.size + 1);
    const { entries, nextPageToken } = page(scope, query, found, ({ event }) => event);
    return encodeMessage(ListEventsResponse, { events: entries.map(eventResource), nextPageToken });
  }
}

function eventResource(info: EventInfo): WireEvent {
  return {
    event: info.event,
    messageCount: BigInt(info.messageCount),
    lastPublishTime: timestamp(info.lastTimeMs),
    matchingSubscribers: [...info.matchingSubscribers],
    lastOffset: BigInt(info.lastOffset),
  };
}

function peekStart(from: PeekMessagesRequest["from"]): PeekStart {
  switch (from?.$case) {
    case undefined:
      return { kind: "earliest" };
    case "fromOffset":
      return { kind: "offset", offset: offset(exactNumber("from_offset", from.value)) };
    case "fromTime":
      return { kind: "time", timeMs: wallMs(wallTimeMs("from_time", from.value)) };
    case "lastMessages":
      if (from.value === 0) throw invalidField("last_messages", "0", "1 or more");
      return { kind: "last", count: from.value };
  }
}

/** Stored messages are field 1 of the response as they are: each byte is copied once, and nothing is decoded. */
function peekResponse(page: PeekPage): Buffer {
  const own = encodeMessage(PeekMessagesResponse, {
    messages: [],
    nextOffset: BigInt(page.nextOffset),
    firstOffset: BigInt(page.firstOffset),
    headOffset: BigInt(page.headOffset),
  });
  const response = Buffer.allocUnsafe(storedBytes(page.parts) + own.length);
  own.copy(response, copyStored(page.parts, response, 0));
  return response;
}

/** The same for people at a prompt. Decodes and encodes; not for speed. */
function peekTextResponse(page: PeekPage): Buffer {
  const response = PeekMessagesResponse.decode(peekResponse(page));
  showAsText(response.messages);
  return encodeMessage(PeekMessagesResponse, response);
}
