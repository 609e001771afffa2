import { arch, cpus, platform, release, totalmem } from "node:os";

/** What the figures were measured on, in one line. */
export function machineText(): string {
  const [cpu] = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} x ${cpu?.model.trim() ?? "unknown processor"}, ${memory} GiB, ${platform()} ${release()} ${arch()}, Node ${process.versions.node}`;
}
