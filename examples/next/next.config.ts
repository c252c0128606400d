import { fileURLToPath } from 'node:url';
import type { NextConfig } from 'next';

const folder = fileURLToPath(new URL('.', import.meta.url));

export default {
  poweredByHeader: false,
  devIndicators: false,
  // This folder is an application of its own, whichever lock files lie above it.
  turbopack: { root: folder },
  outputFileTracingRoot: folder,
  // Node loads these as they are: they keep sockets, which no bundler has to see.
  serverExternalPackages: ['@groupcast/broadcaster', '@groupcast/tokens'],
} satisfies NextConfig;
