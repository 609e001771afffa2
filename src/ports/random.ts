/** The only source of randomness between the core and `main`; a seeded one makes a run replay. */
export interface Random {
  /** A new identity: 128 random bits as 32 lower-case hexadecimal digits. Unguessable in production. */
  id(): string;
}
