const { createElement } = require('react');
const { createClient } = require('@groupcast/client');
const { GroupcastProvider, useConnection } = require('@groupcast/client/react');

const client = createClient({ apiUrl: 'http://127.0.0.1:9', getToken: () => null });

function State() {
  const { state, reason } = useConnection();
  return createElement('p', null, `${state} ${reason?.code}`);
}

module.exports = function Page() {
  return createElement(GroupcastProvider, { client }, createElement(State));
};
