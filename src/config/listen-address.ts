/** Where the server listens. */
export type ListenAddress = TcpAddress | { readonly kind: "unix"; readonly path: string };

export interface TcpAddress {
  readonly kind: "tcp";
  readonly host: string;
  readonly port: number;
}

const PORT_MAX = 65_535;

/** Parses `host:port`, `[ipv6]:port` or `unix:path`; undefined when it is none of them. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length).replace(/^\/\/(?=\/)/, "");
    return path === "" ? undefined : { kind: "unix", path };
  }
  const match = /^(?:\[([0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > PORT_MAX) return undefined;
  return { kind: "tcp", host, port };
}

/** The address as grpc-js and people write it. */
export function formatListenAddress(address: ListenAddress): string {
  if (address.kind === "unix") return `unix:${address.path}`;
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** True when nobody outside this machine can reach the address. A name that is not `localhost` may mean anything. */
export function isLoopback(address: ListenAddress): boolean {
  if (address.kind === "unix") return true;
  const host = address.host.toLowerCase();
  return host === "localhost" || isLoopbackIpv4(host) || isLoopbackIpv6(host);
}

function isLoopbackIpv4(host: string): boolean {
  const octets = host.split(".");
  return octets.length === 4 && octets[0] === "127" && octets.every((octet) => /^(0|[1-9][0-9]{0,2})$/.test(octet) && Number(octet) <= 255);
}

function isLoopbackIpv6(host: string): boolean {
  // The URL parser writes every spelling of an IPv6 address in one way, IPv4-mapped ones in hexadecimal.
  const url = `http://[${host}]/`;
  if (!host.includes(":") || !URL.canParse(url)) return false;
  const canonical = new URL(url).hostname;
  return canonical === "[::1]" || canonical.startsWith("[::ffff:7f");
}
