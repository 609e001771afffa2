import { GetServerInfoRequest, GetServerInfoResponse } from "../../generated/tidemark/v1/admin_service.js";
import type { ServerLimits } from "../../generated/tidemark/v1/server_info.js";
import { OnExpiry, OnPoison } from "../../generated/tidemark/v1/settings.js";
import type { SubscriberSettings } from "../../generated/tidemark/v1/settings.js";
import type { BrokerApi } from "../broker/api.js";
import type { BrokerSettings } from "../broker/settings.js";
import { LIMITS } from "../core/limits.js";
import { CAPABILITIES } from "./capabilities.js";
import { decodeRequest, encodeMessage } from "./codec.js";
import { DURABILITIES } from "./to-wire.js";
import { duration, timestamp } from "./wire-numbers.js";

/** GetServerInfo: what runs here and what it accepts. */
export function serverInfo(broker: BrokerApi, version: string, bytes: Buffer): Buffer {
  decodeRequest(GetServerInfoRequest, "GetServerInfoRequest", bytes);
  const { engine, startTimeMs, settings } = broker.serverFacts();
  return encodeMessage(GetServerInfoResponse, {
    server: {
      version,
      engine,
      durability: DURABILITIES[broker.durability],
      limits: serverLimits(),
      capabilities: [...CAPABILITIES],
      subscriberDefaults: subscriberDefaults(settings),
      autoCreateQueues: settings.autoCreateQueues,
      startTime: timestamp(startTimeMs),
      nodeId: "",
    },
  });
}

function serverLimits(): ServerLimits {
  return {
    messageBytesMax: BigInt(LIMITS.messageBytesMax),
    batchBytesMax: BigInt(LIMITS.batchBytesMax),
    batchMessagesMax: LIMITS.batchMessagesMax,
    transportBytesMax: BigInt(LIMITS.transportBytesMax),
    headersMax: LIMITS.headersMax,
    headerBytesMax: LIMITS.headerBytesMax,
    nameLengthMax: LIMITS.nameLengthMax,
    eventBytesMax: LIMITS.eventBytesMax,
    eventTokensMax: LIMITS.eventTokensMax,
    filtersMax: LIMITS.filtersMax,
    windowMessagesMax: BigInt(LIMITS.flowMessagesMax),
    windowBytesMax: BigInt(LIMITS.flowBytesMax),
    ackTimeoutMin: duration(LIMITS.ackTimeoutMsMin),
    ackTimeoutMax: duration(LIMITS.ackTimeoutMsMax),
    retryDelayMax: duration(LIMITS.retryDelayMsMax),
    settleRangesMax: LIMITS.settleRangesMax,
  };
}

/** What every subscriber has while queues say nothing of their own. Zero `expire_after`: never. */
function subscriberDefaults(settings: BrokerSettings): SubscriberSettings {
  return {
    ackTimeout: duration(settings.ackTimeoutMs),
    maxAttempts: settings.maxAttempts,
    backoff: { minDelay: duration(settings.backoffMinMs), maxDelay: duration(settings.backoffMaxMs), factor: settings.backoffFactor },
    onPoison: OnPoison.DEAD_LETTER,
    maxDeliveries: settings.maxDeliveries,
    maxUnsettled: settings.maxUnsettled,
    windowMessages: settings.flowMessages,
    windowBytes: BigInt(settings.flowBytes),
    expireAfter: duration(0),
    onExpiry: OnExpiry.SETTLE,
  };
}
