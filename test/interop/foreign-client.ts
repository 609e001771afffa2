import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ForeignCall } from "./foreign-call.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const TOOLS = join(ROOT, ".cache", "interop");
export const GRPCURL = join(TOOLS, "bin", "grpcurl");
export const PYTHON = join(TOOLS, "python", "bin", "python");
const BUF = join(ROOT, "node_modules", ".bin", "buf");

/** A gRPC client that is not ours. */
export interface ForeignClient {
  readonly name: string;
  /** Starts a call; `method` is the full name, such as tidemark.v1.BrokerService/Publish. */
  call(address: string, method: string): ForeignCall;
}

/** Fails with what to do, rather than skip, when a tool is missing. */
export function needTool(path: string): void {
  if (!existsSync(path)) throw new Error(`${path} is missing: run "npm run interop:tools" first`);
}

export const grpcurl: ForeignClient = {
  name: "grpcurl",
  call(address, method) {
    needTool(GRPCURL);
    return new ForeignCall(GRPCURL, ["-plaintext", "-d", "@", address, method]);
  },
};

export const bufCurl: ForeignClient = {
  name: "buf curl",
  call(address, method) {
    // Outside the checkout, so that the schema comes by reflection and not from the files here.
    return new ForeignCall(BUF, ["curl", "--protocol", "grpc", "--http2-prior-knowledge", "--data", "@-", `http://${address}/${method}`], tmpdir());
  },
};

/** Python's grpcio with stubs generated from the .proto files, as a stranger would make them. */
export class PythonClient implements ForeignClient {
  readonly name = "Python grpcio";
  private stubs: string | undefined;

  call(address: string, method: string): ForeignCall {
    const [service = "", rpc = ""] = method.replace("tidemark.v1.", "").split("/");
    return new ForeignCall(PYTHON, [join(ROOT, "test", "interop", "json_client.py"), this.generate(), address, service, rpc]);
  }

  dispose(): void {
    if (this.stubs !== undefined) rmSync(this.stubs, { recursive: true, force: true });
    this.stubs = undefined;
  }

  /** The folder of the generated modules. */
  generate(): string {
    if (this.stubs !== undefined) return this.stubs;
    needTool(PYTHON);
    const out = mkdtempSync(join(tmpdir(), "tidemark-python-"));
    const args = ["-m", "grpc_tools.protoc", "-I", "proto", `--python_out=${out}`, `--grpc_python_out=${out}`];
    const files = readdirSync(join(ROOT, "proto", "tidemark", "v1")).map((file) => `tidemark/v1/${file}`);
    const { status, stderr } = spawnSync(PYTHON, [...args, ...files], { cwd: ROOT, encoding: "utf8" });
    if (status !== 0) throw new Error(`protoc for Python ended with status ${status}: ${stderr}`);
    this.stubs = out;
    return out;
  }
}
