import {
  DeleteDeadLettersRequest,
  DeleteDeadLettersResponse,
  ListDeadLettersRequest,
  ListDeadLettersResponse,
  ReplayDeadLettersRequest,
  ReplayDeadLettersResponse,
} from "../../generated/tidemark/v1/admin_service.js";
import { DeadLetterReason as WireReason } from "../../generated/tidemark/v1/dead_letter.js";
import type { DeadLetter } from "../../generated/tidemark/v1/dead_letter.js";
import { Message } from "../../generated/tidemark/v1/message.js";
import { Deliveries } from "../../generated/tidemark/v1/subscribe.js";
import type { BrokerApi } from "../broker/api.js";
import type { DeadLetterChoice } from "../broker/dead-letter-api.js";
import type { DeadLetterReason } from "../broker/dead-letter-filter.js";
import type { DeadLetterInfo } from "../broker/dead-letter-list.js";
import { checkName } from "../core/names.js";
import { offset } from "../core/units.js";
import type { Offset } from "../core/units.js";
import { decodeRequest, encodeMessage } from "./codec.js";
import { deadLetterFilter, filterDigest } from "./dead-letter-from-wire.js";
import { foreignToken, pageQuery, pageToken } from "./paging.js";
import { showAsText } from "./stored-messages.js";
import { timestamp } from "./wire-numbers.js";

const REASONS: Readonly<Record<DeadLetterReason, WireReason>> = {
  REJECTED: WireReason.REJECTED,
  MAX_ATTEMPTS: WireReason.MAX_ATTEMPTS,
  MAX_DELIVERIES: WireReason.MAX_DELIVERIES,
  EXPIRED: WireReason.EXPIRED,
};

/** The dead letters of subscribers. One method each: decode, check, ask the broker, encode. */
export class DeadLetterCalls {
  constructor(private readonly broker: BrokerApi) {}

  async listDeadLetters(bytes: Buffer): Promise<Buffer> {
    const request = decodeRequest(ListDeadLettersRequest, "ListDeadLettersRequest", bytes);
    const queue = checkName("queue", request.queue);
    const subscriber = checkName("subscriber", request.subscriber);
    const filter = deadLetterFilter("filter", request.filter);
    const scope = `dead letters ${queue} ${subscriber} ${filterDigest(request.filter)}`;
    const { size, after } = pageQuery(scope, request.pageSize, request.pageToken);
    const { omitPayload, textView } = request;
    const query = { filter, size, omitPayload, after: after === undefined ? offset(0) : offsetInToken(after, request.pageToken) };
    const { letters, next } = await this.broker.listDeadLetters(queue, subscriber, query);
    const deadLetters = letters.map((letter) => deadLetterResource(queue, subscriber, letter, omitPayload, textView));
    return encodeMessage(ListDeadLettersResponse, { deadLetters, nextPageToken: next === undefined ? "" : pageToken(scope, String(next)) });
  }

  async replayDeadLetters(bytes: Buffer): Promise<Buffer> {
    const request = decodeRequest(ReplayDeadLettersRequest, "ReplayDeadLettersRequest", bytes);
    const outcome = await this.broker.replayDeadLetters(checkName("queue", request.queue), checkName("subscriber", request.subscriber), choiceOf(request));
    return encodeMessage(ReplayDeadLettersResponse, {
      replayedCount: BigInt(outcome.replayedCount),
      remainingCount: BigInt(outcome.remainingCount),
      firstOffset: BigInt(outcome.firstOffset),
      lastOffset: BigInt(outcome.lastOffset),
    });
  }

  async deleteDeadLetters(bytes: Buffer): Promise<Buffer> {
    const request = decodeRequest(DeleteDeadLettersRequest, "DeleteDeadLettersRequest", bytes);
    const outcome = await this.broker.deleteDeadLetters(checkName("queue", request.queue), checkName("subscriber", request.subscriber), choiceOf(request));
    return encodeMessage(DeleteDeadLettersResponse, { deletedCount: BigInt(outcome.deletedCount), remainingCount: BigInt(outcome.remainingCount) });
  }
}

function choiceOf({ filter, limit, dryRun }: ReplayDeadLettersRequest | DeleteDeadLettersRequest): DeadLetterChoice {
  return { filter: deadLetterFilter("filter", filter), limit: limit === 0 ? Infinity : limit, dryRun };
}

function offsetInToken(key: string, token: string): Offset {
  const value = Number(key);
  if (!/^\d+$/.test(key) || !Number.isSafeInteger(value)) throw foreignToken(token);
  return offset(value);
}

function deadLetterResource(queue: string, subscriber: string, letter: DeadLetterInfo, omitPayload: boolean, textView: boolean): DeadLetter {
  const message = storedMessage(letter);
  if (omitPayload) message.payload = Buffer.alloc(0);
  if (textView) showAsText([message]);
  return {
    queue,
    subscriber,
    message,
    reason: wireReason(letter.reason),
    detail: letter.detail,
    attempts: letter.attempts,
    deliveries: letter.deliveries,
    holderSessionId: letter.holderSession,
    holderClientId: letter.holderClient,
    deadLetterTime: timestamp(letter.deadLetterTimeMs),
    payloadBytes: BigInt(letter.payloadBytes),
  };
}

/** A message that could not be read when it became a dead letter has its offset alone. */
function storedMessage({ offset: at, message }: DeadLetterInfo): Message {
  const [stored] = message.length === 0 ? [] : Deliveries.decode(message).messages;
  return stored ?? Message.fromPartial({ offset: BigInt(at) });
}

function wireReason(reason: string): WireReason {
  return Object.entries(REASONS).find(([name]) => name === reason)?.[1] ?? WireReason.UNSPECIFIED;
}
