import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { readDevEnv } from "./dev-env.ts";

export default defineConfig(({ command }) => {
  const plugins = [react()];
  if (command === "build") return { plugins };
  const { port, apiUrl, cacheFolder } = readDevEnv(process.env);
  return {
    plugins,
    cacheDir: cacheFolder,
    server: {
      host: "127.0.0.1",
      port,
      // A taken port is an error: moving on to the next one would take another agent's.
      strictPort: true,
      proxy: { "/api": apiUrl },
    },
  };
});
