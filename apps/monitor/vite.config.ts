import { defineConfig } from 'vite';

/** The relay serves these files by their names, and nothing else: it never lets a browser keep them. */
export default defineConfig({
  build: {
    outDir: 'dist',
    target: 'es2022',
    // The styles use `light-dark()`, which Vite would rewrite for older browsers.
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    modulePreload: false,
    assetsInlineLimit: 0,
    license: { fileName: 'third-party.md' },
    rolldownOptions: {
      input: ['src/main.ts', 'src/styles.css'],
      output: { entryFileNames: 'monitor.js', assetFileNames: 'monitor[extname]' },
    },
  },
});
