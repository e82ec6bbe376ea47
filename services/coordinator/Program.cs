using SplitFrozen.Coordinator.Hosting;
using SplitFrozen.ServiceDefaults;

var builder = WebApplication.CreateBuilder(args);
builder.AddServiceDefaults("splitfrozen-coordinator");
builder.AddCoordinator();
builder.Services.AddTransport(builder.Configuration);

var app = builder.Build();
app.MapCoordinator();
await app.RunAsync().ConfigureAwait(false);
