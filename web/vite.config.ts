import { fileURLToPath } from "node:url";
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// `npm run dev` serves the sources, and hands whatever is the server's on to `make run` in another terminal.
const server = process.env.ROWLOCK_URL ?? "http://127.0.0.1:8000";

const proxy = Object.fromEntries(
  ["/api", "/classic", "/health", "/ready", "/metrics"].map((path) => [path, { target: server }]),
);

export default defineConfig({
  plugins: [react(), tailwindcss()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  build: {
    outDir: "../src/rowlock/page",
    emptyOutDir: true,
    assetsInlineLimit: 0, // the server's policy takes files of its own only, no `data:` fonts
    modulePreload: { polyfill: false },
    target: "es2022",
    reportCompressedSize: false, // a test measures it
  },
  server: { host: "127.0.0.1", proxy },
  preview: { host: "127.0.0.1", proxy },
  test: {
    environment: "happy-dom",
    include: ["src/**/*.test.{ts,tsx}"],
    setupFiles: ["src/test-setup.ts"],
    restoreMocks: true,
    maxWorkers: 2,
  },
});
