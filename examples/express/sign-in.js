'use strict';
// Signing in, by name alone: put your own in its place. The cookie is what every request and the socket are known by.
const { signToken, verifyToken } = require('./tokens.js');

function cookieOf(req, name) {
  const pairs = (req.get('cookie') ?? '').split(';').map((pair) => pair.trim().split('='));
  return pairs.find(([key]) => key === name)?.[1];
}

function createSignIn({ db, secret }) {
  function signIn(res, name) {
    const user = db.get('SELECT id, full_name AS fullName FROM users WHERE id = ?', String(name));
    if (!user) return undefined;
    res.cookie('token', signToken({ sub: user.id, name: user.fullName }, secret), { httpOnly: true, sameSite: 'lax' });
    return user;
  }

  return {
    routes(app) {
      app.post('/api/v1/auth/login', (req, res) => {
        const user = signIn(res, req.body?.name);
        if (!user) return res.status(401).json({ error: 'unable to sign in; there is no such user' });
        return res.json({ status: 'success', data: user });
      });
      // For the pages of this example: a link that signs somebody in.
      app.get('/login', (req, res) => {
        const to = String(req.query.to ?? '/');
        if (!signIn(res, req.query.user)) return res.status(401).json({ error: 'there is no such user' });
        return res.redirect(/^\/[\w-]*\/?$/.test(to) ? to : '/');
      });
    },

    /** The user of a request, by its cookie or its `Authorization`. */
    userOf(req) {
      const bearer = /^Bearer (.*)$/.exec(req.get('authorization') ?? '')?.[1];
      return verifyToken(bearer ?? cookieOf(req, 'token'), secret)?.sub;
    },

    /** An Express handler for what only users may do. */
    required(req, res, next) {
      req.userId = this.userOf(req);
      if (req.userId) return next();
      return res.status(401).json({ error: 'please sign in' });
    },
  };
}

module.exports = { createSignIn };
