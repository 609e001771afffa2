const KIB = 1024;
const MIB = 1024 * KIB;
const HOUR_MS = 3_600_000;

/** Bounds that hold whatever is configured. Each one, with its reason, stands in docs/limits.md. */
export const LIMITS = {
  nameLengthMax: 128,
  eventBytesMax: 256,
  eventTokensMax: 16,
  filtersMax: 64,
  orderingKeyBytesMax: 256,
  messageIdBytesMax: 256,
  headersMax: 64,
  headerBytesMax: 8 * KIB,
  labelsMax: 64,
  labelBytesMax: 8 * KIB,
  reasonBytesMax: 1 * KIB,
  messageBytesMax: 1 * MIB,
  batchBytesMax: 3 * MIB,
  batchMessagesMax: 1_000,
  transportBytesMax: 4 * MIB,
  chunkMessagesMax: 1_024,
  chunkBytesMax: 256 * KIB,
  openBatchBytesMax: 8 * MIB,
  ackTimeoutMsMin: 100,
  ackTimeoutMsMax: 12 * HOUR_MS,
  heartbeatMsMin: 1_000,
  heartbeatMsMax: HOUR_MS,
  clientTimeoutMsMin: 1_000,
  clientTimeoutMsMax: 12 * HOUR_MS,
  retryDelayMsMax: 12 * HOUR_MS,
  settleRangesMax: 10_000,
  firstFrameMs: 10_000,
  unconfirmedSettleMs: 100,
  rememberedBatches: 1_024,
  flowMessagesMax: 100_000,
  flowBytesMax: 64 * MIB,
  deliveryBatchMessagesMax: 1_000,
  deliveryBatchBytesMax: 3 * MIB,
} as const;

/** What a queue and its subscribers get when nobody says otherwise. */
export const DEFAULTS = {
  ackTimeoutMs: 60_000,
  maxAttempts: 10,
  maxDeliveries: 20,
  backoffMinMs: 100,
  backoffMaxMs: 60_000,
  backoffFactor: 2,
  maxUnsettled: 10_000,
  flowMessages: 1_000,
  flowBytes: 8 * MIB,
  deliveryBatchMessages: 100,
  deliveryBatchBytes: 1 * MIB,
  heartbeatMs: 15_000,
  dedupWindowMs: 120_000,
  dedupIdsMax: 1_000_000,
  freeDiskBytesMin: 512 * MIB,
} as const;
