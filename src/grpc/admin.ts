import type { handleServerStreamingCall, handleUnaryCall } from "@grpc/grpc-js";
import {
  CreateQueueRequest,
  CreateQueueResponse,
  DeleteQueueRequest,
  DeleteQueueResponse,
  GetQueueRequest,
  GetQueueResponse,
  ListQueuesRequest,
  ListQueuesResponse,
  PurgeQueueRequest,
  PurgeQueueResponse,
  UpdateQueueRequest,
  UpdateQueueResponse,
} from "../../generated/tidemark/v1/admin_service.js";
import type { Queue } from "../../generated/tidemark/v1/queue.js";
import type { BrokerApi, QueueInfo } from "../broker/api.js";
import { BrokerError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import { checkName, checkText } from "../core/names.js";
import { offset } from "../core/units.js";
import type { Journal } from "../ports/journal.js";
import { ClientCalls } from "./admin-clients.js";
import { DeadLetterCalls } from "./admin-dead-letters.js";
import { ExplanationCalls } from "./admin-explanations.js";
import { MessageCalls } from "./admin-messages.js";
import { ScheduleCalls } from "./admin-schedules.js";
import { SubscriberCalls } from "./admin-subscribers.js";
import type { AnswerCall, TrackAnswers } from "./call-flow.js";
import { decodeRequest, encodeMessage } from "./codec.js";
import { page, pageQuery } from "./paging.js";
import { newQueue, queueUpdate } from "./queue-from-wire.js";
import { serverInfo } from "./server-info.js";
import { queueResource } from "./to-wire.js";
import { unary, unaryAtOnce } from "./unary.js";
import { WatchClientsCall } from "./watch-clients.js";
import { exactNumber } from "./wire-numbers.js";

type Handlers = Readonly<Record<string, handleUnaryCall<Buffer, Buffer> | handleServerStreamingCall<Buffer, Buffer>>>;

/**
 * The methods of AdminService that are served, by their generated names.
 * @param version of this program, as in semver.org
 * @param track keeps the calls that do not end by themselves
 */
export function adminHandlers(broker: BrokerApi, journal: Journal, version: string, track: TrackAnswers): Handlers {
  const calls = new AdminCalls(broker);
  const subscribers = new SubscriberCalls(broker);
  const clients = new ClientCalls(broker);
  const messages = new MessageCalls(broker);
  const explanations = new ExplanationCalls(broker);
  const deadLetters = new DeadLetterCalls(broker);
  const schedules = new ScheduleCalls(broker);
  return {
    createQueue: unary(journal, "CreateQueue", (request) => calls.createQueue(request)),
    updateQueue: unary(journal, "UpdateQueue", (request) => calls.updateQueue(request)),
    getQueue: unary(journal, "GetQueue", (request) => calls.getQueue(request)),
    listQueues: unary(journal, "ListQueues", (request) => calls.listQueues(request)),
    purgeQueue: unary(journal, "PurgeQueue", (request) => calls.purgeQueue(request)),
    deleteQueue: unary(journal, "DeleteQueue", (request) => calls.deleteQueue(request)),
    createSubscriber: unary(journal, "CreateSubscriber", (request) => subscribers.createSubscriber(request)),
    updateSubscriber: unary(journal, "UpdateSubscriber", (request) => subscribers.updateSubscriber(request)),
    seekSubscriber: unary(journal, "SeekSubscriber", (request) => subscribers.seekSubscriber(request)),
    getSubscriber: unary(journal, "GetSubscriber", (request) => subscribers.getSubscriber(request)),
    listSubscribers: unary(journal, "ListSubscribers", (request) => subscribers.listSubscribers(request)),
    deleteSubscriber: unary(journal, "DeleteSubscriber", (request) => subscribers.deleteSubscriber(request)),
    listClients: unaryAtOnce(journal, "ListClients", (request) => clients.listClients(request)),
    watchClients: (call: AnswerCall) => {
      track(call, (onOver) => new WatchClientsCall(call, broker, onOver));
    },
    disconnectClient: unaryAtOnce(journal, "DisconnectClient", (request) => clients.disconnectClient(request)),
    listEvents: unary(journal, "ListEvents", (request) => messages.listEvents(request)),
    peekMessages: unary(journal, "PeekMessages", (request) => messages.peekMessages(request)),
    listDeadLetters: unary(journal, "ListDeadLetters", (request) => deadLetters.listDeadLetters(request)),
    replayDeadLetters: unary(journal, "ReplayDeadLetters", (request) => deadLetters.replayDeadLetters(request)),
    deleteDeadLetters: unary(journal, "DeleteDeadLetters", (request) => deadLetters.deleteDeadLetters(request)),
    listScheduled: unary(journal, "ListScheduled", (request) => schedules.listScheduled(request)),
    cancelScheduled: unary(journal, "CancelScheduled", (request) => schedules.cancelScheduled(request)),
    explainMessage: unary(journal, "ExplainMessage", (request) => explanations.explainMessage(request)),
    explainSubscriber: unary(journal, "ExplainSubscriber", (request) => explanations.explainSubscriber(request)),
    getServerInfo: unaryAtOnce(journal, "GetServerInfo", (request) => serverInfo(broker, version, request)),
  };
}

/** Queues. One method each: decode, check, ask the broker, encode. */
class AdminCalls {
  constructor(private readonly broker: BrokerApi) {}

  async createQueue(bytes: Buffer): Promise<Buffer> {
    const request = decodeRequest(CreateQueueRequest, "CreateQueueRequest", bytes);
    const info = await this.broker.createQueue(newQueue(request.queue));
    return encodeMessage(CreateQueueResponse, { queue: this.queueResource(info) });
  }

  async updateQueue(bytes: Buffer): Promise<Buffer> {
    const request = decodeRequest(UpdateQueueRequest, "UpdateQueueRequest", bytes);
    const info = await this.broker.updateQueue(queueUpdate(request.queue, request.updateMask));
    return encodeMessage(UpdateQueueResponse, { queue: this.queueResource(info) });
  }

  async getQueue(bytes: Buffer): Promise<Buffer> {
    const request = decodeRequest(GetQueueRequest, "GetQueueRequest", bytes);
    const info = await this.broker.getQueue(checkName("queue", request.queue));
    return encodeMessage(GetQueueResponse, { queue: this.queueResource(info) });
  }

  async listQueues(bytes: Buffer): Promise<Buffer> {
    const request = decodeRequest(ListQueuesRequest, "ListQueuesRequest", bytes);
    const query = pageQuery("queues", request.pageSize, request.pageToken);
    const found = await this.broker.listQueues(query.after, query.size + 1);
    const { entries, nextPageToken } = page("queues", query, found, (queue) => queue.name);
    const queues = entries.map((info) => this.queueResource(info));
    return encodeMessage(ListQueuesResponse, { queues, nextPageToken });
  }

  async purgeQueue(bytes: Buffer): Promise<Buffer> {
    const request = decodeRequest(PurgeQueueRequest, "PurgeQueueRequest", bytes);
    const queue = checkName("queue", request.queue);
    const queueId = checkText("queue_id", request.queueId, LIMITS.nameLengthMax);
    const throughOffset = offset(exactNumber("through_offset", request.throughOffset));
    const purged = await this.broker.purgeQueue({ queue, queueId, throughOffset, dryRun: request.dryRun });
    return encodeMessage(PurgeQueueResponse, {
      purgedCount: BigInt(purged.purgedCount),
      purgedBytes: BigInt(purged.purgedBytes),
      throughOffset: BigInt(purged.throughOffset),
    });
  }

  async deleteQueue(bytes: Buffer): Promise<Buffer> {
    const request = decodeRequest(DeleteQueueRequest, "DeleteQueueRequest", bytes);
    const queue = checkName("queue", request.queue);
    const queueId = checkText("queue_id", request.queueId, LIMITS.nameLengthMax);
    if (queueId !== "") {
      const info = await this.broker.getQueue(queue);
      if (info.queueId !== queueId) throw queueIdMismatch(queue, queueId, info.queueId);
    }
    await this.broker.deleteQueue(queue);
    return encodeMessage(DeleteQueueResponse, {});
  }

  private queueResource(info: QueueInfo): Queue {
    return queueResource(info, this.broker.durability);
  }
}

function queueIdMismatch(queue: string, asked: string, found: string): BrokerError {
  return new BrokerError("QUEUE_ID_MISMATCH", `queue ${queue} is now incarnation ${found}, not ${asked}; nothing was deleted`, {
    field: "queue_id",
    value: asked,
    queue_id: found,
  });
}
