/** Copies a text, or shows it in `place` to be copied by hand. Answers what has happened, in words. */
export async function copyText(text: string, place: HTMLElement): Promise<string> {
  try {
    await navigator.clipboard.writeText(text);
    return 'Copied';
  } catch {
    // No permission, or a page without https.
    place.querySelector('textarea')?.remove();
    const area = Object.assign(document.createElement('textarea'), {
      value: text,
      readOnly: true,
      ariaLabel: 'Report',
    });
    place.prepend(area);
    area.select();
    if (!document.execCommand('copy')) return 'Copy it by hand';
    area.remove();
    return 'Copied';
  }
}
