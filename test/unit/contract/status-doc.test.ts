import { expect } from "chai";
import { Queue } from "../../../generated/tidemark/v1/queue.js";
import { OnExpiry, SubscriberSettings } from "../../../generated/tidemark/v1/settings.js";
import type { BrokerApi } from "../../../src/broker/api.js";
import { BrokerError } from "../../../src/core/errors.js";
import { adminHandlers } from "../../../src/grpc/admin.js";
import { newQueue } from "../../../src/grpc/queue-from-wire.js";
import type { Journal } from "../../../src/ports/journal.js";
import { describeFile, FILES, repositoryText, serviceNamed } from "./descriptor-set.js";



function creating(part: Partial<Queue>): () => void {
  return () => newQueue({ ...Queue.fromPartial({ name: "orders" }), ...part });
}

/** One request for each field that the table names, with nothing else in it that is not served. */
const SETTING: Readonly<Record<string, () => void>> = {
  "SubscriberSettings.on_expiry": creating({ subscriberDefaults: SubscriberSettings.fromPartial({ onExpiry: OnExpiry.DEAD_LETTER }) }),
};

describe("docs/status.md", () => {
  const text = repositoryText("docs/status.md");
  const rpcs = new Map([...text.matchAll(/^\| `(\w+\.\w+)` \| (served|UNIMPLEMENTED) \|$/gm)].map(([, rpc = "", today = ""]) => [rpc, today]));
  const fields = [...text.matchAll(/^\| `(\w+\.\w+)`[^|]* \| [a-z][^|]* \|$/gm)].map(([, field = ""]) => field).filter((field) => !rpcs.has(field));

  it("has every RPC of the contract once, and no other", () => {
    const contract = ["BrokerService", "AdminService"].flatMap((name) => serviceNamed(name).method.map((method) => `${name}.${method.name}`));
    expect([...rpcs.keys()]).to.deep.equal(contract);
  });

  it("says of exactly those control RPCs that they are served for which there is a handler", () => {
    const handlers = adminHandlers({} as BrokerApi, {} as Journal, "0.0.0", () => undefined);
    const served = [...rpcs].filter(([rpc, today]) => rpc.startsWith("AdminService.") && today === "served").map(([rpc]) => rpc.slice("AdminService.".length));
    expect(served.map((name) => `${name.charAt(0).toLowerCase()}${name.slice(1)}`)).to.have.members(Object.keys(handlers));
  });

  it("names only fields that the contract has", () => {
    const lines = FILES.flatMap((file) => describeFile(file));
    for (const field of fields) expect(lines.some((line) => line.startsWith(`${field} = `)), field).to.equal(true);
  });

  it("lists the fields that the cases below set", () => {
    expect(fields).to.have.members(Object.keys(SETTING));
  });

  for (const [field, set] of Object.entries(SETTING)) {
    it(`is right that ${field} answers UNIMPLEMENTED`, () => {
      expect(set).to.throw(BrokerError).with.property("reason", "NOT_BUILT_YET");
    });
  }
});
