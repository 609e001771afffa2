import { ExplainMessageRequest, ExplainMessageResponse, ExplainSubscriberRequest, ExplainSubscriberResponse } from "../../generated/tidemark/v1/admin_service.js";
import type { BrokerApi } from "../broker/api.js";
import { checkName, invalidField } from "../core/names.js";
import { offset } from "../core/units.js";
import { decodeRequest, encodeMessage } from "./codec.js";
import { messageExplanation, subscriberExplanation } from "./explanation-to-wire.js";
import { clampedNumber } from "./wire-numbers.js";

/** Why things stand still. One method each: decode, check, ask the broker, encode. */
export class ExplanationCalls {
  constructor(private readonly broker: BrokerApi) {}

  async explainMessage(bytes: Buffer): Promise<Buffer> {
    const request = decodeRequest(ExplainMessageRequest, "ExplainMessageRequest", bytes);
    const queue = checkName("queue", request.queue);
    if (request.offset === 0n) throw invalidField("offset", "0", "1 and more");
    const subscriber = request.subscriber === "" ? undefined : checkName("subscriber", request.subscriber);
    // Beyond any offset is beyond the head, which is an answer.
    const explanations = await this.broker.explainMessage(queue, offset(clampedNumber(request.offset)), subscriber);
    return encodeMessage(ExplainMessageResponse, { explanations: explanations.map(messageExplanation) });
  }

  async explainSubscriber(bytes: Buffer): Promise<Buffer> {
    const request = decodeRequest(ExplainSubscriberRequest, "ExplainSubscriberRequest", bytes);
    const explanation = await this.broker.explainSubscriber(checkName("queue", request.queue), checkName("subscriber", request.subscriber));
    return encodeMessage(ExplainSubscriberResponse, { explanation: subscriberExplanation(explanation) });
  }
}
