/** Rowlock as a process, with a database of its own in a temporary folder; see tests/processes.py. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PYTHON = process.env.ROWLOCK_PYTHON ?? join(import.meta.dirname, "../../.venv/bin/python");
const READY_MS_MAX = 60_000;

export const SECRET_KEY = "a-key-that-is-only-good-for-tests-0123456789";

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (address && typeof address === "object" ? resolve(address.port) : reject()));
    });
  });
}

export class Server {
  private process: ChildProcess | undefined;
  readonly url: string;

  private constructor(
    private readonly command: "demo" | "serve",
    private readonly folder: string,
    private readonly port: number,
  ) {
    this.url = `http://127.0.0.1:${port}`;
  }

  /** A fresh server that answers. */
  static async start(command: "demo" | "serve" = "demo"): Promise<Server> {
    const server = new Server(command, mkdtempSync(join(tmpdir(), "rowlock-page-")), await freePort());
    await server.up();
    return server;
  }

  private environment(): NodeJS.ProcessEnv {
    const kept = Object.entries(process.env).filter(
      ([name]) => !/^(ROWLOCK_|PG|PROMETHEUS_)|^(DATABASE_URL|SUPABASE_URL|HOST|PORT)$/.test(name),
    );
    return {
      ...Object.fromEntries(kept),
      ROWLOCK_DATA_DIR: join(this.folder, "var"),
      ROWLOCK_LOG_FORMAT: "json",
      PORT: String(this.port),
      ...(this.command === "serve" && { ROWLOCK_SECRET_KEY: SECRET_KEY }),
    };
  }

  async up(): Promise<void> {
    const log = join(this.folder, "log");
    const output = openSync(log, "a");
    const started = spawn(PYTHON, ["-m", "rowlock", this.command], {
      cwd: this.folder,
      env: this.environment(),
      stdio: ["ignore", output, output],
    });
    this.process = started;
    const until = Date.now() + READY_MS_MAX;
    while (Date.now() < until && started.exitCode === null) {
      const ready = await fetch(`${this.url}/ready`).then(
        (answer) => answer.ok,
        () => false,
      );
      if (ready) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`not ready: ${readFileSync(log, "utf8")}`);
  }

  /** Ask it to end, and wait until it has. */
  async down(): Promise<void> {
    const ending = this.process;
    this.process = undefined;
    if (!ending || ending.exitCode !== null) return;
    const ended = new Promise((resolve) => ending.once("exit", resolve));
    ending.kill("SIGTERM");
    await ended;
  }

  async end(): Promise<void> {
    await this.down();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** A token of this server's key, from the command line. */
  token(role: "admin" | "customer", userId: string): string {
    const options = ["-m", "rowlock", "token", "--role", role, "--user-id", userId];
    return execFileSync(PYTHON, options, {
      cwd: this.folder,
      env: this.environment(),
      encoding: "utf8",
    }).trim();
  }

  /** A call of the API, as a program makes it. */
  async call<T>(path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
    const answer = await fetch(`${this.url}/api${path}`, {
      ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }),
      headers: { "Content-Type": "application/json", ...headers },
    });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as T;
  }
}
