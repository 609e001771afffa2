import { expect } from "chai";
import type { BrokerApi } from "../../../src/broker/api.js";
import { adminHandlers } from "../../../src/grpc/admin.js";
import type { Journal } from "../../../src/ports/journal.js";
import { repositoryText, serviceNamed } from "./descriptor-set.js";

describe("docs/status.md", () => {
  const text = repositoryText("docs/status.md");
  const rpcs = new Map([...text.matchAll(/^\| `(\w+\.\w+)` \| (served|UNIMPLEMENTED) \|$/gm)].map(([, rpc = "", today = ""]) => [rpc, today]));

  it("has every RPC of the contract once, and no other", () => {
    const contract = ["BrokerService", "AdminService"].flatMap((name) => serviceNamed(name).method.map((method) => `${name}.${method.name}`));
    expect([...rpcs.keys()]).to.deep.equal(contract);
  });

  it("says of exactly those control RPCs that they are served for which there is a handler", () => {
    const handlers = adminHandlers({} as BrokerApi, {} as Journal, "0.0.0", () => undefined);
    const served = [...rpcs].filter(([rpc, today]) => rpc.startsWith("AdminService.") && today === "served").map(([rpc]) => rpc.slice("AdminService.".length));
    expect(served.map((name) => `${name.charAt(0).toLowerCase()}${name.slice(1)}`)).to.have.members(Object.keys(handlers));
  });
});
