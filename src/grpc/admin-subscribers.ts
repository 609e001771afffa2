import {
  CreateSubscriberRequest,
  CreateSubscriberResponse,
  DeleteSubscriberRequest,
  DeleteSubscriberResponse,
  GetSubscriberRequest,
  GetSubscriberResponse,
  ListSubscribersRequest,
  ListSubscribersResponse,
  SeekSubscriberRequest,
  SeekSubscriberResponse,
  UpdateSubscriberRequest,
  UpdateSubscriberResponse,
} from "../../generated/tidemark/v1/admin_service.js";
import type { SubscriberPosition as WirePosition } from "../../generated/tidemark/v1/subscriber.js";
import type { BrokerApi } from "../broker/api.js";
import type { SubscriberPosition } from "../broker/seek-api.js";
import { checkName } from "../core/names.js";
import { decodeRequest, encodeMessage } from "./codec.js";
import { page, pageQuery } from "./paging.js";
import { newSubscriber, subscriberUpdate } from "./subscriber-from-wire.js";
import { seekRequest } from "./seek-from-wire.js";
import { subscriberResource } from "./to-wire.js";

/** Subscribers. One method each: decode, check, ask the broker, encode. */
export class SubscriberCalls {
  constructor(private readonly broker: BrokerApi) {}

  async createSubscriber(bytes: Buffer): Promise<Buffer> {
    const request = decodeRequest(CreateSubscriberRequest, "CreateSubscriberRequest", bytes);
    const info = await this.broker.createSubscriber(newSubscriber(request.subscriber));
    return encodeMessage(CreateSubscriberResponse, { subscriber: subscriberResource(info) });
  }

  async updateSubscriber(bytes: Buffer): Promise<Buffer> {
    const request = decodeRequest(UpdateSubscriberRequest, "UpdateSubscriberRequest", bytes);
    const info = await this.broker.updateSubscriber(subscriberUpdate(request.subscriber, request.updateMask));
    return encodeMessage(UpdateSubscriberResponse, { subscriber: subscriberResource(info) });
  }

  async seekSubscriber(bytes: Buffer): Promise<Buffer> {
    const request = decodeRequest(SeekSubscriberRequest, "SeekSubscriberRequest", bytes);
    const { previous, position, repeatedCount, skippedCount } = await this.broker.seekSubscriber(seekRequest(request));
    return encodeMessage(SeekSubscriberResponse, {
      previousPosition: wirePosition(previous),
      position: wirePosition(position),
      repeatedCount: BigInt(repeatedCount),
      skippedCount: BigInt(skippedCount),
    });
  }

  async getSubscriber(bytes: Buffer): Promise<Buffer> {
    const request = decodeRequest(GetSubscriberRequest, "GetSubscriberRequest", bytes);
    const info = await this.broker.getSubscriber(checkName("queue", request.queue), checkName("subscriber", request.subscriber));
    return encodeMessage(GetSubscriberResponse, { subscriber: subscriberResource(info) });
  }

  async listSubscribers(bytes: Buffer): Promise<Buffer> {
    const request = decodeRequest(ListSubscribersRequest, "ListSubscribersRequest", bytes);
    const queue = checkName("queue", request.queue);
    const scope = `subscribers ${queue}`;
    const query = pageQuery(scope, request.pageSize, request.pageToken);
    const found = await this.broker.listSubscribers(queue, query.after, query.size + 1);
    const { entries, nextPageToken } = page(scope, query, found, (subscriber) => subscriber.name);
    return encodeMessage(ListSubscribersResponse, { subscribers: entries.map(subscriberResource), nextPageToken });
  }

  async deleteSubscriber(bytes: Buffer): Promise<Buffer> {
    const request = decodeRequest(DeleteSubscriberRequest, "DeleteSubscriberRequest", bytes);
    await this.broker.deleteSubscriber(checkName("queue", request.queue), checkName("subscriber", request.subscriber));
    return encodeMessage(DeleteSubscriberResponse, {});
  }
}

function wirePosition({ committedOffset, settled }: SubscriberPosition): WirePosition {
  return { committedOffset: BigInt(committedOffset), settled: settled.map(({ first, last }) => ({ first: BigInt(first), last: BigInt(last) })) };
}
