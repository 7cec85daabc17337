"""The HTTP application of the org, the same on its plain and its TLS port."""

from aiohttp import web

from sandbox.salesforce.bulk_jobs import BulkJobs
from sandbox.salesforce.instance import Instance
from sandbox.salesforce.rest import bulk, data, oauth, soap
from sandbox.salesforce.rest.answers import INSTANCE, while_on
from sandbox.salesforce.rest.faulty import tell_usage, with_faults

_MAX_BODY = 50 * 1024 * 1024  # bytes; Salesforce takes up to 50 MB


def make_app(instance: Instance, jobs: BulkJobs) -> web.Application:
    app = web.Application(middlewares=[while_on, with_faults], client_max_size=_MAX_BODY)
    app[INSTANCE] = instance
    app.on_response_prepare.append(tell_usage)
    oauth.add_routes(app)
    soap.add_routes(app)
    bulk.add_routes(app, jobs)
    data.add_routes(app)
    return app
