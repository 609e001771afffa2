import { fileURLToPath } from "node:url";
import { loadPackageDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { expect } from "chai";
import { PublishRequest } from "../../../generated/tidemark/v1/publish.js";
import { ROOT, serviceNamed } from "./descriptor-set.js";

const FILES = ["tidemark/v1/broker_service.proto", "tidemark/v1/admin_service.proto", "tidemark/v1/errors.proto"];

describe("the .proto files", () => {
  const loaded = loadSync(FILES, { includeDirs: [fileURLToPath(new URL("proto", ROOT))], keepCase: true, longs: String, enums: String, oneofs: true });

  for (const service of ["BrokerService", "AdminService"]) {
    it(`give a client of ${service} at run time, by proto-loader`, () => {
      const definition = loaded[`tidemark.v1.${service}`] as Record<string, { path: string }>;
      expect(Object.values(definition).map(({ path }) => path)).to.have.members(
        serviceNamed(service).method.map(({ name }) => `/tidemark.v1.${service}/${name}`),
      );
      const { tidemark } = loadPackageDefinition(loaded) as unknown as { tidemark: { v1: Record<string, unknown> } };
      expect(tidemark.v1[service]).to.be.a("function");
    });
  }

  it("mean the same bytes to proto-loader and to the generated code", () => {
    const definition = loaded["tidemark.v1.BrokerService"] as Record<string, { requestSerialize: (value: object) => Buffer }>;
    const bytes = definition["Publish"]?.requestSerialize({
      queue: "orders",
      message: { event: "order.created", text: "hello", headers: { tenant: "a" }, ttl: { seconds: "5" } },
      expected_last_offset: "0",
    });
    const decoded = PublishRequest.decode(bytes ?? Buffer.alloc(0));
    expect(decoded.queue).to.equal("orders");
    expect(decoded.message?.event).to.equal("order.created");
    expect(decoded.message?.body).to.deep.equal({ $case: "text", value: "hello" });
    expect(decoded.message?.headers).to.deep.equal({ tenant: "a" });
    expect(decoded.message?.ttl?.seconds).to.equal(5n);
    expect(decoded.expectedLastOffset).to.equal(0n);
  });
});
