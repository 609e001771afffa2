import { Server, ServerCredentials } from "@grpc/grpc-js";
import type { handleUnaryCall, UntypedServiceImplementation } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import { AdminServiceService } from "../../generated/tidemark/v1/admin_service.js";
import { BrokerServiceService } from "../../generated/tidemark/v1/broker_service.js";
import type { BrokerError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import type { Telemetry } from "../ports/telemetry.js";
import { adminHandlers } from "./admin.js";
import type { AnswerCall, OpenCall, RawCall, TrackAnswers } from "./call-flow.js";
import { endWithError } from "./call-flow.js";
import { rawService } from "./codec.js";
import { Connections } from "./connections.js";
import { meteredStream, meteredUnary } from "./metered-calls.js";
import { publish, publishBatch } from "./publish.js";
import { PublishStreamCall } from "./publish-stream.js";
import { PullRpc, settle } from "./pull.js";
import { DescriptorIndex } from "./reflection/descriptor-index.js";
import { addReflection } from "./reflection/reflection.js";
import { errorDetailsDescriptor, healthDescriptor, reflectionDescriptor } from "./reflection/standard-descriptors.js";
import { asBrokerError } from "./status.js";
import { widenReceiveWindows } from "./receive-windows.js";
import { SubscribeCall } from "./subscribe.js";
import type { SubscribeContext } from "./subscribe.js";
import { IntakeBudget } from "./intake-budget.js";
import { methodNotBuiltYet, refuse } from "./unary.js";

/** Room for the fields around a largest publish batch, so that our own limit answers before the transport's. */
const RECEIVE_HEADROOM_BYTES = 64 * 1024;

const HEALTH_SERVICES = ["", "tidemark.v1.BrokerService", "tidemark.v1.AdminService"];

/** See PullRpc. */
const BROKER_SERVICE = { ...BrokerServiceService, pull: { ...BrokerServiceService.pull, responseStream: true } };

const SERVER_OPTIONS = {
  "grpc.max_receive_message_length": LIMITS.transportBytesMax + RECEIVE_HEADROOM_BYTES,
  "grpc.max_send_message_length": -1,
  // A dead peer is noticed within 40 s. grpc-js answers however many pings a client sends.
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 10_000,
  "grpc.max_concurrent_streams": 1_000,
  // Channelz would keep records of every connection and tell them to anybody.
  "grpc.enable_channelz": 0,
};

/** What the server needs besides the broker. */
export interface GrpcServerContext extends Omit<SubscribeContext, "connections"> {
  readonly telemetry: Telemetry;
  /** The encoded FileDescriptorSet of the contract, imports included. */
  readonly descriptors: Uint8Array;
  /** Of this program, as in semver.org. */
  readonly version: string;
}

/** The gRPC side of the process. Constructed deaf; `listen` opens the socket. */
export class GrpcServer {
  private readonly server = new Server(SERVER_OPTIONS);
  private readonly health = new HealthImplementation();
  private readonly openCalls = new Set<OpenCall>();
  private readonly connections = new Connections();
  private draining: BrokerError | undefined;

  constructor(private readonly context: GrpcServerContext) {
    this.setHealth("NOT_SERVING");
    this.health.addToServer(this.server);
    this.addServices();
  }

  /**
   * Starts to serve. Rejects when the address cannot be had.
   * @param address as grpc-js takes it: `host:port`, `[ipv6]:port`, `unix:path`
   * @returns the port; the one that was chosen when it was 0. Means nothing for a Unix socket.
   */
  async listen(address: string): Promise<number> {
    const port = await new Promise<number>((resolve, reject) => {
      this.server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) {
          widenReceiveWindows(this.server);
          this.connections.watch(bound);
          resolve(bound);
        } else {
          const taken = error.message.includes("EADDRINUSE");
          reject(new Error(`cannot listen on ${address}: ${taken ? "another program does already; stop that, or choose another address with --listen" : error.message}`, { cause: error }));
        }
      });
    });
    this.setHealth("SERVING");
    return port;
  }

  /**
   * Lets go of what can be let go of: health says NOT_SERVING, calls without a session end with `error` once they are
   * answered, new ones are refused. Open sessions are the broker's to end.
   */
  drain(error: BrokerError): void {
    this.draining = error;
    this.setHealth("NOT_SERVING");
    for (const call of [...this.openCalls]) call.drain(error);
  }

  /** Closes the socket and waits for what is still running, at most `graceMs`; then cuts. */
  async close(graceMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const late = setTimeout(resolve, graceMs);
      this.server.tryShutdown(() => {
        clearTimeout(late);
        resolve();
      });
    });
    this.cut();
  }

  /** Closes the socket and every connection at once, answered or not. */
  cut(): void {
    this.server.forceShutdown();
    this.connections.stop();
  }

  private addServices(): void {
    const { broker, journal, telemetry, descriptors, version } = this.context;
    const turn = new IntakeBudget();
    const track: TrackAnswers = (call, open) => {
      this.track(call, open);
    };
    this.addService(BROKER_SERVICE, {
      publish: publish(broker, journal, telemetry),
      publishBatch: publishBatch(broker, journal, telemetry),
      publishStream: (call: RawCall) => {
        this.track(call, (onOver) => new PublishStreamCall(call, { broker, journal, telemetry, turn }, onOver));
      },
      subscribe: (call: RawCall) => {
        this.track(call, (onOver) => new SubscribeCall(call, { ...this.context, connections: this.connections }, onOver));
      },
      pull: (call: AnswerCall) => {
        this.track(call, (onOver) => new PullRpc(call, { ...this.context, connections: this.connections }, onOver));
      },
      settle: settle(broker, journal),
    });
    this.addService(AdminServiceService, adminHandlers(broker, journal, version, track));
    const index = new DescriptorIndex();
    index.addSet(descriptors);
    index.addFile(healthDescriptor());
    index.addFile(errorDetailsDescriptor());
    index.addFile(reflectionDescriptor("grpc.reflection.v1"));
    index.addFile(reflectionDescriptor("grpc.reflection.v1alpha"));
    addReflection(this.server, index);
  }

  /** Methods without a handler answer that they are not served yet. Every call is metered. */
  private addService(generated: Parameters<typeof rawService>[0], handlers: UntypedServiceImplementation): void {
    const service = rawService(generated);
    const { telemetry, clock } = this.context;
    const all: UntypedServiceImplementation = {};
    for (const [name, { path, responseStream }] of Object.entries(service)) {
      const [serviceName = "", method = ""] = path.slice(1).split("/");
      const meter = telemetry.method(serviceName, method, responseStream);
      const handler = handlers[name] ?? this.notBuiltYet(path.slice(1), responseStream);
      all[name] = responseStream ? meteredStream(handler as (call: RawCall) => void, meter, clock) : meteredUnary(handler as handleUnaryCall<Buffer, Buffer>, meter, clock);
    }
    this.server.addService(service, all);
  }

  private notBuiltYet(method: string, responseStream: boolean): handleUnaryCall<Buffer, Buffer> | ((call: RawCall) => void) {
    const error = methodNotBuiltYet(method);
    if (responseStream) {
      return (call: RawCall) => {
        endWithError(call, error);
      };
    }
    const answer: handleUnaryCall<Buffer, Buffer> = (_call, callback) => {
      refuse(callback, error, this.context.journal, method);
    };
    return answer;
  }

  /** What `open` throws ends the call. */
  private track(call: RawCall | AnswerCall, open: (onOver: () => void) => OpenCall): void {
    if (this.draining !== undefined) {
      endWithError(call, this.draining);
      return;
    }
    try {
      const opened: OpenCall = open(() => {
        this.openCalls.delete(opened);
      });
      this.openCalls.add(opened);
    } catch (error) {
      endWithError(call, asBrokerError(error, this.context.journal, call.getPath()));
    }
  }

  private setHealth(status: "SERVING" | "NOT_SERVING"): void {
    for (const service of HEALTH_SERVICES) this.health.setStatus(service, status);
  }
}
