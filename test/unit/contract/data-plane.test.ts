import { expect } from "chai";
import { describeFile, FILES, repositoryText, serviceNamed } from "./descriptor-set.js";

const DATA_PLANE = ["broker_service", "publish", "message", "subscribe", "pull"];

const CONTROL_PLANE = [
  ["CreateQueue", "GetQueue", "ListQueues", "ListEvents", "UpdateQueue", "PurgeQueue", "DeleteQueue"],
  ["CreateSubscriber", "GetSubscriber", "ListSubscribers", "UpdateSubscriber", "SeekSubscriber", "DeleteSubscriber"],
  ["ListClients", "WatchClients", "DisconnectClient", "PeekMessages"],
  ["ListDeadLetters", "ReplayDeadLetters", "DeleteDeadLetters", "ListScheduled", "CancelScheduled"],
  ["ExplainMessage", "ExplainSubscriber", "GetServerInfo"],
].flat();

describe("the contract", () => {
  for (const name of DATA_PLANE) {
    it(`keeps every name, number and type that clients were built on in ${name}.proto`, () => {
      const golden = repositoryText("test/unit/contract/data-plane.txt").split("\n");
      const file = FILES.find((one) => one.name === `tidemark/v1/${name}.proto`);
      if (file === undefined) throw new Error(`the descriptor set has no ${name}.proto`);
      const described = describeFile(file);
      expect(described.length).to.be.greaterThan(0);
      expect(described.filter((line) => !golden.includes(line)), "not in data-plane.txt").to.deep.equal([]);
    });
  }

  it("still has everything that data-plane.txt lists", () => {
    const described = new Set(FILES.flatMap((file) => describeFile(file)));
    const golden = repositoryText("test/unit/contract/data-plane.txt").split("\n").filter((line) => line !== "");
    expect(golden.length).to.be.greaterThan(200);
    expect(golden.filter((line) => !described.has(line))).to.deep.equal([]);
  });

  it("names the whole control plane", () => {
    expect(serviceNamed("AdminService").method.map((method) => method.name)).to.deep.equal(CONTROL_PLANE);
  });

  it("gives every RPC a request and a response of its own", () => {
    const methods = FILES.flatMap((file) => file.service).flatMap((service) => service.method);
    const types = methods.flatMap((method) => [method.inputType, method.outputType]);
    expect(new Set(types).size).to.equal(types.length);
    for (const { name, inputType, outputType } of methods) {
      expect(inputType).to.equal(`.tidemark.v1.${name}Request`);
      expect(outputType).to.equal(`.tidemark.v1.${name}Response`);
    }
  });

  it("carries its imports and no comments in the descriptor set, so that reflection can serve it alone", () => {
    const names = new Set(FILES.map((file) => file.name));
    expect(FILES.flatMap((file) => file.dependency).filter((name) => !names.has(name))).to.deep.equal([]);
    expect(names).to.include("google/protobuf/timestamp.proto");
    expect(FILES.filter((file) => file.sourceCodeInfo !== undefined)).to.deep.equal([]);
  });
});
