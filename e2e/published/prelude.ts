// The page of a documented block's reader, made of the page's fragment. Loaded before the block.
const fragment = new URLSearchParams(location.hash.slice(1));

interface Row {
  content: string;
}

Object.assign(globalThis, {
  session: { token: fragment.get('token') },
  form: document.querySelector('form'),
  input: document.querySelector('input'),
  render(messages: readonly Row[]) {
    document
      .querySelector('#messages')
      ?.replaceChildren(
        ...messages.map(({ content }) => Object.assign(document.createElement('p'), { textContent: content })),
      );
  },
});
